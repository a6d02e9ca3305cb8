// The steps of an open trajectory: of thousands, the first some hundred, and more when they are asked for.

const PART = 300; // steps that are drawn at once

class Passages {
  /** `drawn()` is called when more of them are there. */
  constructor(data, drawn) {
    Object.assign(this, { data, drawn, next: 0, edits: 0 });
    this.raw = data.online === null && !data.passages.some(({ edit }) => edit);
    this.left = data.passages.reduce((sum, { before }) => sum + before.length, 0);
    this.part = this.button(PART);
    this.all = this.button(Infinity);
    this.note = element("span", { class: "fine" });
    this.rest = element("p", { class: "rest" }, this.note, this.part, this.all);
    this.box = element("div", { class: "passages" }, this.rest);
    this.draw(PART);
  }

  /** A button that draws more steps, and moves the focus to the first of them. */
  button(steps) {
    const made = element("button", { type: "button" });
    made.addEventListener("click", () => {
      const last = this.rest.previousElementSibling;
      this.more(steps);
      const first = last.nextElementSibling;
      (first.querySelector(":scope > summary") ?? first).focus({ preventScroll: true });
    });
    return made;
  }

  /** Draw passages with at least so many steps. False where all are there already. */
  more(steps = PART) {
    const any = this.draw(steps);
    if (any) this.drawn();
    return any;
  }

  draw(steps) {
    const { passages } = this.data;
    const fresh = [];
    for (let size = 0; size < steps && this.next < passages.length; this.next++) {
      const passage = passages[this.next];
      fresh.push(passage.edit ? editElement(passage, this.data, this.edits++) : untouchedElement(passage, this.data.steps, this.raw));
      size += passage.before.length;
      this.left -= passage.before.length;
    }
    this.rest.before(...fresh);
    this.rest.hidden = !this.left;
    this.note.textContent = `… ${plural(this.left, "step")} not shown yet`;
    this.part.hidden = this.left <= PART;
    this.part.textContent = `Show ${count(PART)} more steps`;
    this.all.textContent = `Show the rest: ${plural(this.left, "step")}`;
    return fresh.length > 0;
  }

  /** Draw as far as the first passage that holds the needle, if there is one. */
  reach(needle) {
    const { passages, steps } = this.data;
    const at = passages.findIndex(({ before, edit }) => holds(edit, needle) || before.some((step) => holds(steps[step], needle)));
    while (this.next <= at) this.draw(PART);
  }
}
