// The list: of thousands of trajectories, only those in view are elements.

const ITEM = 62; // pixels; page.css has the same height
const BEYOND = 6; // items drawn above and below the view

class List {
  /** `chosen(position)` is called when a trajectory is clicked. */
  constructor(box, rows, chosen) {
    Object.assign(this, { box, rows, positions: [], cursor: -1, opened: -1 });
    this.space = element("div", { role: "presentation", class: "space" });
    box.append(this.space);
    box.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(box);
    this.space.addEventListener("click", (event) => {
      const item = event.target.closest("[role=option]");
      if (item) chosen(Number(item.dataset.position));
    });
  }

  /** Show other trajectories; the cursor stays on its trajectory where that is still there. */
  show(positions) {
    const at = this.positions[this.cursor];
    this.positions = positions;
    this.cursor = positions.indexOf(at);
    this.space.style.height = `${positions.length * ITEM}px`;
    this.drawn = null;
    this.draw();
  }

  /** Put the cursor on a trajectory, by its place in the list, and bring it into view. */
  move(cursor) {
    if (!this.positions.length) return;
    this.cursor = Math.min(Math.max(cursor, 0), this.positions.length - 1);
    const top = this.cursor * ITEM;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + ITEM > scrollTop + clientHeight) this.box.scrollTop = top + ITEM - clientHeight;
    this.drawSoon();
  }

  open(position) {
    this.opened = position;
    const at = this.positions.indexOf(position);
    if (at >= 0) this.move(at);
    this.drawSoon();
  }

  /** Draw before the next frame, once for all that happens until then: a held key moves faster than frames. */
  drawSoon() {
    this.drawn = null;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const first = Math.max(Math.floor(this.box.scrollTop / ITEM) - BEYOND, 0);
    const end = Math.min(Math.ceil((this.box.scrollTop + this.box.clientHeight) / ITEM) + BEYOND, this.positions.length);
    if (this.drawn === `${first} ${end}`) return;
    this.drawn = `${first} ${end}`;
    const items = [];
    for (let at = first; at < end; at++) items.push(this.item(at));
    this.space.replaceChildren(...items);
    const active = this.cursor >= first && this.cursor < end ? `option-${this.positions[this.cursor]}` : null;
    if (active) this.box.setAttribute("aria-activedescendant", active);
    else this.box.removeAttribute("aria-activedescendant");
  }

  item(at) {
    const position = this.positions[at];
    const { rows } = this;
    const made = element(
      "div",
      {
        role: "option",
        id: `option-${position}`,
        class: at === this.cursor ? "item current" : "item",
        "data-position": position,
        "aria-selected": String(position === this.opened),
        "aria-setsize": this.positions.length,
        "aria-posinset": at + 1,
      },
      element("div", { class: "title" }, rows.title[position] || "(no prompt)"),
      element("div", { class: "about" }, this.about(position)),
    );
    made.style.top = `${at * ITEM}px`;
    return made;
  }

  about(position) {
    const { rows } = this;
    const badge = (kind, text) => element("span", { class: `badge ${kind}` }, text);
    const edits = rows.edits[position].map((edit) => rows.tables.edits[edit]);
    const times = (kind, test) => {
      const found = edits.filter(test).length;
      return found ? badge(kind, found > 1 ? `${found} ${kind}` : kind) : null;
    };
    const [raw, stored] = [rows.raw[position], rows.stored[position]];
    const [reward, sample] = [rows.reward[position], rows.sample[position]];
    const task = rows.tables.tasks[rows.task[position]];
    return [
      element("span", { class: "id" }, sample === null ? task : `${task} #${sample}`),
      times("shallow", ([made, size]) => made && size === "shallow"),
      times("deep", ([made, size]) => made && size === "deep"),
      times("refused", ([made]) => !made),
      rows.left[position] ? badge("failed", `${rows.left[position]} failed`) : null,
      element("span", { class: "size" }, raw === stored ? plural(stored, "step") : `${raw} → ${plural(stored, "step")}`),
      reward === null ? null : element("span", { class: `reward ${rows.outcome(position)}` }, `${reward > 0 ? "✓" : "✗"} ${shortNumber(reward)}`),
    ];
  }
}
