// How two calls differ: by line, and within changed lines by word.

const MOST_CELLS = 4_000_000; // of the table of common subsequences: longer texts count as replaced
const CONTEXT = 3;

/** [["=" | "-" | "+", item], ...] that turn `before` into `after`, with a longest common subsequence kept. */
function differences(before, after) {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start++;
  let end = 0;
  const shorter = Math.min(before.length, after.length) - start;
  while (end < shorter && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const old = before.slice(start, before.length - end);
  const fresh = after.slice(start, after.length - end);
  const equal = (items) => items.map((item) => ["=", item]);
  return [...equal(before.slice(0, start)), ...changed(old, fresh), ...equal(before.slice(before.length - end))];
}

function changed(old, fresh) {
  const width = fresh.length + 1;
  if ((old.length + 1) * width > MOST_CELLS) return [...old.map((item) => ["-", item]), ...fresh.map((item) => ["+", item])];
  // common[i * width + j]: length of the longest common subsequence of old[i:] and fresh[j:].
  const common = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = fresh.length - 1; j >= 0; j--) {
      common[i * width + j] =
        old[i] === fresh[j]
          ? common[(i + 1) * width + j + 1] + 1
          : Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
    }
  }
  const found = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) {
      found.push(["=", old[i]]);
      i++;
      j++;
    } else if (j === fresh.length || (i < old.length && common[(i + 1) * width + j] >= common[i * width + j + 1])) {
      found.push(["-", old[i++]]);
    } else {
      found.push(["+", fresh[j++]]);
    }
  }
  return found;
}

/** The lines of a diff with context; runs of equal lines in between are counted. */
function diffElement(before, after) {
  if (before === after) return element("p", { class: "fine" }, "The calls are equal.");
  const lines = differences(before.split("\n"), after.split("\n"));
  const box = mayScroll("Difference of the calls", element("div", { class: "diff code" }));
  for (let at = 0; at < lines.length; ) {
    let end = at;
    if (lines[at][0] === "=") {
      while (end < lines.length && lines[end][0] === "=") end++;
      equalLines(box, lines.slice(at, end), at === 0, end === lines.length);
    } else {
      while (end < lines.length && lines[end][0] !== "=") end++;
      changedLines(box, lines.slice(at, end));
    }
    at = end;
  }
  return box;
}

function equalLines(box, lines, first, last) {
  const head = first ? 0 : CONTEXT;
  const tail = last ? 0 : CONTEXT;
  const hidden = lines.length - head - tail;
  lines.forEach(([, line], at) => {
    if (hidden < 2 || at < head || at >= lines.length - tail) box.append(lineElement("=", [line]));
    else if (at === head) box.append(element("div", { class: "gap" }, `⋯ ${plural(hidden, "equal line")}`));
  });
}

function changedLines(box, lines) {
  const old = lines.filter(([sign]) => sign === "-").map(([, line]) => line);
  const fresh = lines.filter(([sign]) => sign === "+").map(([, line]) => line);
  const pairs = old.map((line, at) => (at < fresh.length ? wordMarks(line, fresh[at]) : null));
  old.forEach((line, at) => box.append(lineElement("-", pairs[at] ? pairs[at][0] : [line])));
  fresh.forEach((line, at) => box.append(lineElement("+", pairs[at] ? pairs[at][1] : [line])));
}

function lineElement(sign, parts) {
  const kind = { "-": "gone", "+": "new", "=": "same" }[sign];
  const spoken = { "-": "removed: ", "+": "added: ", "=": "" }[sign];
  const mark = element("span", { class: "sign", "aria-hidden": "true" }, { "-": "−", "+": "+", "=": " " }[sign]);
  return element("div", { class: kind }, mark, spoken ? element("span", { class: "unseen" }, spoken) : null, parts);
}

/** Both lines with their differing words marked; null where so little is common that marks would be noise. */
function wordMarks(old, fresh) {
  const words = (line) => line.match(/\w+|\s+|[^\w\s]/gu) ?? [];
  const found = differences(words(old), words(fresh));
  const kept = found.filter(([sign]) => sign === "=").reduce((sum, [, word]) => sum + word.trim().length, 0);
  if (kept * 3 < Math.max(old.trim().length, fresh.trim().length)) return null;
  const side = (own, tag) => joined(found.filter(([sign]) => sign === "=" || sign === own), own, tag);
  return [side("-", "del"), side("+", "ins")];
}

/** Neighbouring words of one kind in one element. */
function joined(words, own, tag) {
  const parts = [];
  for (const [sign, word] of words) {
    const last = parts.at(-1);
    if (last && last.sign === sign) last.text += word;
    else parts.push({ sign, text: word });
  }
  return parts.map(({ sign, text }) => (sign === own ? element(tag, {}, text) : text));
}
