// The trajectories of the page: their index in memory, their texts in compressed blocks that are read when needed.

const KEPT_CHUNKS = 4;

/** The index with its blocks; `size` trajectories, known by their position in the list, 0 to size − 1. */
class Rows {
  static async load() {
    const index = JSON.parse(await unpack(document.querySelector("script.index")));
    return new Rows(index, [...document.querySelectorAll("script.chunk")]);
  }

  constructor(index, blocks) {
    Object.assign(this, index);
    this.blocks = blocks;
    this.size = index.row.length;
    this.positions = new Map(index.row.map((row, position) => [row, position]));
    this.opened = new Map();
  }

  /** All that the page shows of a trajectory. */
  async details(position) {
    const number = Math.floor(position / this.chunk);
    if (!this.opened.has(number)) this.opened.set(number, unpack(this.blocks[number]).then((text) => text.split("\n")));
    for (const old of this.opened.keys()) if (this.opened.size > KEPT_CHUNKS && old !== number) this.opened.delete(old);
    return { reasons: this.reasons, ...JSON.parse((await this.opened.get(number))[position % this.chunk]) };
  }

  /** Positions that meet all conditions. What is asked of calls, one call must have. */
  matching({ edit = "", granularity = "", error = "", tool = "", failed = "", reward = "" }) {
    const failure = (type, there) => type !== null && (there || failed !== "left");
    const calls = this.tables.calls.map(([name, type, there]) => (!tool || name === tool) && (!error || type === error) && (!failed || failure(type, there)));
    const outcomes = this.tables.edits.map(([made, , reason]) => (edit === "made" ? made : !made && (edit === "refused" || edit === reason)));
    const sizes = this.tables.edits.map(([made, size]) => made && size === granularity);
    const found = [];
    for (let at = 0; at < this.size; at++) {
      if ((tool || error || failed) && !this.calls[at].some((call) => calls[call])) continue;
      if (edit === "none" ? this.edits[at].length : edit && !this.edits[at].some((one) => outcomes[one])) continue;
      if (granularity && !this.edits[at].some((one) => sizes[one])) continue;
      if (reward && reward !== this.outcome(at)) continue;
      found.push(at);
    }
    return found;
  }

  /** right, wrong or none: right is a reward above 0. */
  outcome(position) {
    const reward = this.reward[position];
    return reward === null ? "none" : reward > 0 ? "right" : "wrong";
  }

  sorted(positions, by) {
    const keys = {
      edits: (at) => -this.edits[at].length,
      left: (at) => -this.left[at],
      steps: (at) => -this.raw[at],
      highest: (at) => -(this.reward[at] ?? -Infinity),
      lowest: (at) => this.reward[at] ?? Infinity,
    };
    const key = keys[by];
    return key ? [...positions].sort((a, b) => key(a) - key(b) || a - b) : positions;
  }

  /** How many trajectories have each value, the most frequent first. `values`: of a position. */
  counted(values) {
    const counts = new Map();
    for (let at = 0; at < this.size; at++) for (const value of new Set(values(at))) counts.set(value, (counts.get(value) ?? 0) + 1);
    return [...counts].filter(([value]) => value !== null).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  }

  /**
   * Search all texts, block by block: `progress(found, searched)` after each, with the positions found so far.
   * Ends early once `stopped()`. Blocks without a candidate are not read.
   */
  async search(query, candidates, progress, stopped) {
    const wanted = new Set(candidates);
    const needle = query.toLowerCase();
    // As the needle stands in JSON; what is found there is looked at again in the texts themselves.
    const written = JSON.stringify(needle).slice(1, -1);
    const found = new Set();
    for (let number = 0; number < this.blocks.length; number++) {
      const first = number * this.chunk;
      const here = Array.from({ length: Math.min(this.chunk, this.size - first) }, (_, at) => first + at).filter((at) => wanted.has(at));
      if (here.length) {
        const text = await unpack(this.blocks[number]);
        if (stopped()) return;
        if (text.toLowerCase().includes(written)) {
          const lines = text.split("\n");
          for (const at of here) {
            const line = lines[at - first];
            if (line.toLowerCase().includes(written) && holds(JSON.parse(line), needle)) found.add(at);
          }
        }
      }
      progress(found, Math.min(first + this.chunk, this.size));
    }
  }
}

// What stands there is a word of the format, not a text: searched, "user" would be found everywhere.
const WORDS = new Set(["role", "finish", "status", "granularity", "reason", "verdict"]);

/** Whether any text in a JSON value contains the needle, which is in lower case. */
function holds(value, needle) {
  if (typeof value === "string") return value.toLowerCase().includes(needle);
  return value !== null && typeof value === "object" && Object.entries(value).some(([name, part]) => !WORDS.has(name) && holds(part, needle));
}
