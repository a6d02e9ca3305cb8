// One trajectory, opened: prompt, steps, and each edit with what stood there before.

/** `passages`: the element that its steps are in. */
function trajectoryElement(data, passages) {
  return element(
    "article",
    {},
    element("h2", {}, data.id),
    element("p", { class: "facts" }, facts(data).join(" · ")),
    notes(data).map((note) => element("p", { class: "notice" }, note)),
    promptElement(data.prompt),
    passages,
    [["Answer", data.answer], ["Reference", data.reference]].map(([label, text]) =>
      text === null ? null : element("section", { class: "end" }, element("h3", {}, label), textBlock("", text)),
    ),
  );
}

function facts(data) {
  const stored = data.passages.reduce((sum, passage) => sum + passage.after.length, 0);
  const raw = data.steps.length;
  return [
    `row ${count(data.row)}`,
    `task ${data.task}`,
    data.sample === null ? null : `sample ${data.sample}`,
    data.reward === null ? "no reward" : `reward ${shortNumber(data.reward)}`,
    ...data.rewards.map(([name, value]) => `${name} ${value === null ? "–" : shortNumber(value)}`),
    raw === stored ? plural(stored, "step") : `${raw} → ${plural(stored, "step")}`,
    data.finish === "unknown" ? null : `finish ${data.finish}`,
    data.model,
    data.source,
  ].filter((fact) => fact !== null);
}

function notes(data) {
  const found = [];
  if (data.mixed_in) found.push("Left raw on purpose (fraction, apply_to).");
  if (data.online !== null) found.push(`Edited while generating (${plural(data.online, "edit")}): there is no raw trajectory to show.`);
  return found;
}

function shortNumber(value) {
  return String(Number(value.toPrecision(4)));
}

function promptElement(messages) {
  const [last, ...earlier] = [...messages].reverse();
  const shown = (message) => textBlock(message.name ? `${message.role} (${message.name})` : message.role, message.text, "long");
  const folded = earlier.length
    ? element("details", {}, element("summary", {}, plural(earlier.length, "earlier message")), earlier.reverse().map(shown))
    : null;
  return element("section", { class: "prompt", "aria-label": "Prompt" }, folded, last ? shown(last) : null);
}

function textBlock(label, text, kind = "") {
  const nodes = textNodes(text);
  if (!nodes.length) return null;
  const code = kind.includes("code");
  const pre = element("pre", { class: code ? "code" : null }, nodes);
  return element(
    "div",
    { class: `field ${kind}` },
    label ? element("div", { class: "label" }, label) : null,
    code || kind.includes("long") ? mayScroll(label || "text", pre) : pre,
  );
}

/** A step whose reasoning and call may be those of different raw steps. */
function stepBody(reasoning, action) {
  return [
    textBlock("thinking", reasoning.thinking, "thinking"),
    textBlock("reasoning", reasoning.reasoning),
    action.calls.map((call) => textBlock(`call of ${call.tool}`, call.code, `code call ${outcome(call)}`)),
    textBlock("text", action.action, "code"),
    action.results.map((message) =>
      textBlock(message.role === "tool" ? "result" : message.role, message.text, message.role === "tool" ? "code result" : ""),
    ),
  ];
}

function outcome(call) {
  if (["error", "timeout", "malformed"].includes(call.status)) return "failed";
  return call.status === "ok" ? "ok" : "other";
}

function stepHeading(number, step) {
  const mark = step.failed ? ["failed", "✗"] : step.calls.some((call) => call.status !== "ok") || !step.calls.length ? ["other", "·"] : ["ok", "✓"];
  return [
    element("span", { class: `mark ${mark[0]}`, "aria-hidden": "true" }, mark[1]),
    element("strong", {}, `step ${number}`),
    step.calls.map((call) =>
      element("span", { class: `status ${outcome(call)}`, title: call.rule }, [call.tool, call.status, call.error].filter(Boolean).join(" ")),
    ),
  ];
}

function untouchedElement(passage, steps, open) {
  const [before] = passage.before;
  const [after] = passage.after;
  const step = steps[before];
  const number = before === after.number ? String(before) : `${before} → ${after.number}`;
  const gist = step.calls.length ? step.calls.map((call) => textString(call.code)).join(" ; ") : textString(step.reasoning);
  return element(
    "details",
    { class: "step", open },
    element("summary", {}, stepHeading(number, step), element("span", { class: "gist" }, gist.slice(0, 300).replace(/\s+/g, " "))),
    stepBody(step, step),
  );
}

/** `reasons`: what the words for why an edit was not made mean. */
function editElement(passage, { steps, reasons }, number) {
  const { edit, before, after } = passage;
  const kind = edit.accepted ? `made ${edit.granularity}` : "refused";
  const title = edit.accepted ? `${edit.granularity === "deep" ? "Deep" : "Shallow"} edit` : "Not edited";
  const side = (label, name, children) => element("div", { class: `side-of ${name}` }, element("h4", {}, label), children);
  const old = before.map((at) => element("div", { class: "step" }, element("p", { class: "heading" }, stepHeading(at, steps[at])), stepBody(steps[at], steps[at])));
  const fresh = after.map((one) => element("div", { class: "step" }, element("p", { class: "heading" }, stepHeading(one.number, steps[one.action_from]), origin(one)), stepBody(steps[one.reasoning_from], steps[one.action_from])));
  return element(
    "section",
    { class: `edit ${kind}`, id: `edit-${number}`, tabindex: "-1", "aria-label": `Edit ${number + 1}: ${title}` },
    element("h3", {}, element("span", { class: "badge" }, edit.accepted ? edit.granularity : edit.reason), `${title}${edit.accepted ? " of" : ":"} ${stepNames(before)}`),
    element("p", {}, explanation(edit, before, after, reasons)),
    edit.detail && !edit.gates.some((gate) => gate.detail === edit.detail) ? element("p", { class: "fine" }, edit.detail) : null,
    evidence(edit),
    edit.links.map((link) => callDifference(link, steps)),
    edit.accepted
      ? element("div", { class: "pair" }, side("Before", "before", old), side("After", "after", fresh))
      : element("div", { class: "unpaired" }, old),
  );
}

function stepNames(numbers) {
  return `step${numbers.length > 1 ? "s" : ""} ${numbers.join(", ")}`;
}

function origin(one) {
  const text = one.reasoning_from === one.action_from ? `was step ${one.action_from}` : `reasoning of step ${one.reasoning_from}, call and result of step ${one.action_from}`;
  return element("span", { class: "origin" }, text);
}

function explanation(edit, before, after, reasons) {
  const why = reasons[edit.reason];
  if (!edit.accepted) return `Left as it was: ${why}.`;
  const [{ reasoning_from: reasoning, action_from: action }] = after;
  const gone = before.filter((step) => step !== action);
  const done =
    reasoning === action
      ? `Dropped ${stepNames(gone)}; step ${action} stays as it is.`
      : `Kept the reasoning of step ${reasoning}, with the call and the result of step ${action}.`;
  return edit.reason ? `${done} (${edit.reason}: ${why})` : done;
}

/** Why: similarities against γ, and the verdict of every gate. */
function evidence(edit) {
  const rows = edit.links.map((link) => {
    const name = `similarity ${link.from} → ${link.to}`;
    if (link.similarity === null) return [name, ["none: a call could not be parsed → ", link.granularity]];
    const gamma = edit.gamma === null ? "" : ` ${link.granularity === "deep" ? "<" : "≥"} γ ${edit.gamma}`;
    return [name, [track(link.similarity, edit.gamma), `${link.similarity.toFixed(3)}${gamma} → ${link.granularity}${edit.backend ? ` (${edit.backend})` : ""}`]];
  });
  rows.push(
    ...edit.gates.map((gate) => [
      `${gate.name} gate`,
      [element("span", { class: `verdict ${gate.verdict}` }, gate.verdict), gate.detail ? ` ${gate.detail}` : ""],
    ]),
  );
  return rows.length ? element("dl", { class: "facts evidence" }, rows.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])) : null;
}

function track(similarity, gamma) {
  const bar = element("span", { class: "track", "aria-hidden": "true" }, element("i", {}), gamma === null ? null : element("b", {}));
  bar.firstChild.style.width = `${100 * similarity}%`;
  if (gamma !== null) bar.lastChild.style.left = `${100 * gamma}%`;
  return bar;
}

function callDifference(link, steps) {
  const code = (step) => visible(steps[step].calls.map((call) => textString(call.code)).join("\n"));
  return element("div", { class: "difference" }, element("h4", {}, `Call of step ${link.from} → call of step ${link.to}`), diffElement(code(link.from), code(link.to)));
}
