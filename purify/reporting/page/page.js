// The page: its address (the hash) is its state, so that a trajectory and filters can be linked to.

const FILTERS = ["edit", "granularity", "error", "tool", "failed", "reward", "sort"];
const NARROW = matchMedia("(max-width: 760px)");
const byId = (id) => document.getElementById(id);

const page = { rows: null, list: null, state: {}, searching: 0, shown: null };

function readState() {
  return Object.fromEntries([...new URLSearchParams(location.hash.slice(1))].filter(([, value]) => value !== ""));
}

/** Change parts of the state. Opening and closing are steps of the browser's history, other changes are not. */
function go(changes, { step = false } = {}) {
  const given = Object.entries({ ...page.state, ...changes }).filter(([, value]) => value !== "" && value !== undefined);
  const state = Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
  const hash = `#${new URLSearchParams(state)}`;
  if (hash === `#${new URLSearchParams(page.state)}`) return;
  if (step) {
    address.write();
    history.pushState(null, "", hash);
  } else {
    address.soon(hash);
  }
  show(state);
}

// A held key changes the address more often than browsers allow, so it follows a little later.
const address = {
  written: -Infinity,
  soon(hash) {
    this.next = hash;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), Math.max(this.written + 250 - performance.now(), 0));
  },
  write() {
    clearTimeout(this.timer);
    if (this.next === undefined) return;
    history.replaceState(null, "", this.next);
    this.next = undefined;
    this.written = performance.now();
  },
};

/** Somebody else has changed the address: a link, the browser's history, or the reader. */
function follow() {
  clearTimeout(address.timer);
  address.next = undefined;
  const { view } = page.state;
  show(readState());
  // The link that led here would take Enter for itself.
  if (page.state.view === "rows" && view !== "rows") byId("list").focus();
}

function show(state) {
  const old = page.state;
  page.state = state;
  const rows = state.view === "rows";
  byId("rows").hidden = !rows;
  byId("overview").hidden = rows;
  for (const [id, current] of [["to-rows", rows], ["to-overview", !rows]]) {
    if (current) byId(id).setAttribute("aria-current", "page");
    else byId(id).removeAttribute("aria-current");
  }
  document.documentElement.classList.toggle("browsing", rows);
  for (const name of ["q", ...FILTERS]) setField(name, state[name] ?? "");
  if (["q", ...FILTERS].some((name) => (old[name] ?? "") !== (state[name] ?? "")) || !page.shown) find();
  if (rows) page.list.draw();
  open(state.row);
}

function setField(name, value) {
  const field = byId(name === "q" ? "search" : name);
  if (!field) return;
  if (field.value !== value) field.value = value;
}

/** Filter, sort, and search what remains; the list grows while the search goes on. */
async function find() {
  const { rows, list, state } = page;
  const turn = ++page.searching;
  const stopped = () => turn !== page.searching;
  const base = rows.sorted(rows.matching(state), state.sort);
  const active = FILTERS.filter((name) => name !== "sort" && state[name]).length;
  byId("active-filters").textContent = active ? `(${active})` : "";
  const say = (text) => (byId("found").textContent = text);
  const of = base.length === rows.size ? count(rows.size) : `${count(base.length)} filtered`;
  page.shown = base;
  if (!state.q) {
    list.show(base);
    say(base.length === rows.size ? plural(rows.size, "trajectory").replace("trajectorys", "trajectories") : `${count(base.length)} of ${count(rows.size)} trajectories`);
    return;
  }
  const shortened = base.reduce((sum, position) => sum + rows.shortened[position], 0);
  const unseen = shortened ? ` · without the middle of ${plural(shortened, "long text")}, which this page leaves out` : "";
  let last = 0;
  const progress = (found, searched) => {
    const done = searched === rows.size;
    if (!done && performance.now() - last < 100) return;
    last = performance.now();
    page.shown = base.filter((position) => found.has(position));
    list.show(page.shown);
    say(`${count(found.size)} found in ${of}${done ? "" : ` · searched ${count(searched)} …`}${unseen}`);
  };
  if (!rows.size) progress(new Set(), 0);
  await rows.search(state.q, base, progress, stopped);
}

/** Show a trajectory by its row number in the dataset, or none. */
async function open(row) {
  const position = page.rows.positions.get(/^\d+$/.test(row) ? Number(row) : NaN) ?? -1;
  byId("rows").classList.toggle("opened", position >= 0);
  if (page.opened === `${row} ${page.state.q}`) return;
  page.opened = `${row} ${page.state.q}`;
  page.list.open(position);
  const box = byId("detail");
  SCROLLING.disconnect();
  page.passages = null;
  if (position < 0) {
    const missing = row === undefined ? [] : [element("p", { class: "notice" }, `Row ${row} is not on this page.`)];
    box.replaceChildren(...missing, page.hint);
    return;
  }
  const opened = page.opened;
  const data = await page.rows.details(position);
  if (opened !== page.opened) return;
  page.passages = new Passages(data, () => mark(box, page.state.q));
  if (page.state.q) page.passages.reach(page.state.q.toLowerCase());
  box.replaceChildren(toolbar(position, data), trajectoryElement(data, page.passages.box));
  box.scrollTop = 0;
  if (NARROW.matches) scrollTo(0, 0);
  mark(box, page.state.q)?.scrollIntoView({ block: "center" });
}

function toolbar(position, data) {
  const button = (text, label, act, attributes = {}) => {
    const made = element("button", { type: "button", "aria-label": label, title: label, ...attributes }, text);
    made.addEventListener("click", act);
    return made;
  };
  const edits = data.passages.filter((passage) => passage.edit).length;
  return element(
    "div",
    { class: "toolbar" },
    button("← List", "Back to the list (Esc)", close, { class: "back" }),
    button("‹", "Previous trajectory (k)", () => step(-1)),
    button("›", "Next trajectory (j)", () => step(1)),
    edits ? element("span", { class: "gap-before" }, plural(edits, "edit")) : null,
    edits ? button("↑", "Previous edit (p)", () => stepEdit(-1)) : null,
    edits ? button("↓", "Next edit (n)", () => stepEdit(1)) : null,
  );
}

/** Mark what was searched for in the open trajectory, and unfold the steps that hold it. Returns where it is first. */
function mark(box, query) {
  if (!CSS.highlights) return null;
  CSS.highlights.delete("found");
  if (!query) return null;
  const needle = visible(query).toLowerCase();
  const ranges = [];
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  while (walker.nextNode() && ranges.length < 1000) {
    const text = walker.currentNode.data.toLowerCase();
    if (text.length !== walker.currentNode.data.length) continue;
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + needle.length)) {
      const range = document.createRange();
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, at + needle.length);
      ranges.push(range);
      walker.currentNode.parentElement.closest("details")?.setAttribute("open", "");
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
  return ranges[0]?.startContainer.parentElement;
}

function step(by) {
  const { list, state } = page;
  list.move(list.cursor < 0 && by < 0 ? 0 : list.cursor + by);
  const position = list.positions[list.cursor];
  if (state.row === undefined) byId("list").focus();
  else if (position !== undefined) go({ row: page.rows.row[position] });
}

function choose(position) {
  if (position !== undefined) go({ row: page.rows.row[position], view: "rows" }, { step: page.state.row === undefined });
}

function close() {
  go({ row: "" }, { step: true });
  byId("list").focus();
}

/** The edit after or before the one that was shown last. */
function stepEdit(by) {
  const drawn = () => [...byId("detail").querySelectorAll(".edit")];
  let edits = drawn();
  const at = edits.indexOf(document.activeElement?.closest?.(".edit"));
  // The next may not be drawn yet; back from nowhere is the last of all.
  while (by > 0 ? at + 1 >= edits.length : at < 0) {
    if (!page.passages?.more(by > 0 ? PART : Infinity)) break;
    edits = drawn();
  }
  if (!edits.length) return;
  const next = at < 0 ? (by > 0 ? 0 : edits.length - 1) : Math.min(Math.max(at + by, 0), edits.length - 1);
  edits[next].focus({ preventScroll: true });
  edits[next].scrollIntoView({ block: "start" });
}

const KEYS = {
  "/": () => {
    go({ view: "rows" });
    byId("search").focus();
    byId("search").select();
  },
  "?": () => byId("help").showModal(),
  j: () => step(1),
  k: () => step(-1),
  n: () => stepEdit(1),
  p: () => stepEdit(-1),
  Escape: () => (page.state.row === undefined ? go({ view: "" }, { step: true }) : close()),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const { target, key } = event;
  if (target.matches("input[type=search]")) {
    if (!["Escape", "Enter", "ArrowDown"].includes(key)) return;
    byId("list").focus();
    if (key !== "Escape" && page.list.cursor < 0) page.list.move(0);
    event.preventDefault();
    return;
  }
  const inList = target === byId("list") || target === document.body;
  if (target.matches("select")) return;
  if (inList && page.state.view === "rows") {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
    if (key in moves) {
      step(Number.isFinite(moves[key]) ? moves[key] : Math.sign(moves[key]) * page.rows.size);
      event.preventDefault();
      return;
    }
    if (key === "Enter") choose(page.list.positions[page.list.cursor]);
  }
  if (key in KEYS && (page.state.view === "rows" || key === "/" || key === "?")) {
    KEYS[key]();
    event.preventDefault();
  }
}

function fillFilters(rows) {
  const fill = (id, first, options) => {
    byId(id)?.append(...[["", first], ...options].map(([value, text]) => element("option", { value }, text)));
  };
  // The number beside a choice is that of the trajectories it alone finds.
  const named = (counts, before = "") => counts.map(([value, number]) => [value, `${before}${value} (${count(number)})`]);
  const found = (id, value, text = value) => [value, `${text} (${count(rows.matching({ [id]: value }).length)})`];
  const edits = (position) => rows.edits[position].map((edit) => rows.tables.edits[edit]);
  const reasons = rows.counted((at) => edits(at).map(([made, , reason]) => (made ? null : reason)));
  fill("edit", "any", [found("edit", "made"), found("edit", "refused"), ...named(reasons, "refused: "), found("edit", "none")]);
  fill("granularity", "any", named(rows.counted((at) => edits(at).map(([made, size]) => (made ? size : null)))));
  const calls = (position) => rows.calls[position].map((call) => rows.tables.calls[call]);
  fill("error", "any", named(rows.counted((at) => calls(at).map(([, type]) => type))));
  fill("tool", "any", named(rows.counted((at) => calls(at).map(([name]) => name))));
  const purified = byId("edit") !== null;
  fill("failed", "any", purified ? [found("failed", "sampled", "as sampled"), found("failed", "left", "left after purifying")] : [found("failed", "sampled", "some")]);
  fill("reward", "any", named(rows.counted((at) => [rows.outcome(at)])));
  fill("sort", "dataset order", [["edits", "most edits"], ["left", "most failed calls left"], ["steps", "most steps"], ["highest", "highest reward"], ["lowest", "lowest reward"]]);
}

/** Dark or light: the system's choice until the button is pressed. Stored where the browser allows it. */
function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const set = (theme) => {
    if (theme) root.dataset.theme = theme;
    byId("theme").setAttribute("aria-pressed", String((theme ?? (system.matches ? "dark" : "light")) === "dark"));
  };
  let stored = null;
  try {
    stored = localStorage.getItem("purify-theme");
  } catch {
    // A browser may forbid a local file to store anything.
  }
  set(stored);
  system.addEventListener("change", () => set(root.dataset.theme));
  byId("theme").addEventListener("click", () => {
    const dark = byId("theme").getAttribute("aria-pressed") === "true";
    set(dark ? "light" : "dark");
    try {
      localStorage.setItem("purify-theme", root.dataset.theme);
    } catch {
      // As above.
    }
  });
}

async function start() {
  startTheme();
  page.hint = byId("detail").firstElementChild;
  byId("more-filters").open = !NARROW.matches;
  page.rows = await Rows.load();
  page.list = new List(byId("list"), page.rows, choose);
  fillFilters(page.rows);
  byId("search").addEventListener("input", (event) => go({ q: event.target.value }));
  for (const name of FILTERS) byId(name)?.addEventListener("change", ({ target }) => go({ [name]: target.value }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    go(Object.fromEntries(["q", ...FILTERS].map((name) => [name, ""])));
  });
  byId("to-rows").addEventListener("click", () => byId("list").focus());
  byId("help-button").addEventListener("click", KEYS["?"]);
  addEventListener("keydown", onKey);
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  show(readState());
  document.documentElement.dataset.ready = "true";
}

start();
