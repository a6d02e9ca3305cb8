// Text of others, and only as text: nothing here or in the other files makes HTML out of a string.

// All that a reader would not see, or would see in another place: controls but tab and line feed, formats, separators,
// and what fonts leave out (fillers, tags, variation selectors) but the two selectors that emoji end in.
const SIGNS = /(?![\t\n\ufe0e\ufe0f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** Text in which every character can be seen: NUL is ␀, a bidirectional override is ‹U+202E›. */
function visible(text) {
  return String(text).replaceAll("\r\n", "\n").replace(SIGNS, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "␡";
    return `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });
}

/** An element. Attributes that are null or false are left out; children are elements, or strings made visible. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) made.append(child instanceof Node ? child : visible(child));
  }
  return made;
}

// What may scroll must be reachable by keyboard; what does not is no stop on the way, nor a landmark.
const SCROLLING = new ResizeObserver((changed) => {
  const boxes = changed.map(({ target }) => [target, target.scrollWidth > target.clientWidth || target.scrollHeight > target.clientHeight]);
  for (const [box, scrolls] of boxes) {
    for (const [name, value] of Object.entries({ tabindex: "0", role: "region", "aria-label": box.dataset.label })) {
      if (scrolls) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }
});

/** A box, until its text turns out to need scrolling. */
function mayScroll(label, box) {
  box.dataset.label = visible(label);
  SCROLLING.observe(box);
  return box;
}

/** A text as it is stored: whole, or {head, left_out, tail}. Empty where nothing would be seen. */
function textNodes(text) {
  if (typeof text === "string") return text.trim() ? [text.replace(/^\n+|\s+$/g, "")] : [];
  const note = `… ${count(text.left_out)} characters are left out of this page …`;
  return [text.head, element("span", { class: "left-out" }, note), text.tail];
}

/** What is there of a text, for comparing. */
function textString(text) {
  return typeof text === "string" ? text : `${text.head}\n… ${text.left_out} characters …\n${text.tail}`;
}

const NUMBERS = new Intl.NumberFormat("en-US");
function count(value) {
  return NUMBERS.format(value);
}

function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Decompress a block of the page: gzip in base64 in a script that never runs. */
async function unpack(block) {
  const packed = block.textContent;
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(packed)
    : Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
