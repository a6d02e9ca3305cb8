// Text of others, and only as text: nothing here or in the other files makes HTML out of a string.

// C0 and C1 controls but tab and line feed, and format characters that hide or reorder what follows.
const SIGNS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** Text in which every character can be seen: NUL is ␀, a bidirectional override is ‹U+202E›. */
function visible(text) {
  return String(text).replaceAll("\r\n", "\n").replace(SIGNS, (character) => {
    const code = character.charCodeAt(0);
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
