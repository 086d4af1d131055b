// The longest token at a place of a text.

/** The id where there is no token. */
export const NONE = -1;

/** Sequences of code points, each with an id: a hash table of (node, code point) -> node. */
export class Trie {
  /** @param {[number[], number][]} sequences - None of them empty. */
  constructor(sequences) {
    const most = sequences.reduce((sum, [codes]) => sum + codes.length, 1);
    const size = 2 ** Math.ceil(Math.log2(2 * most));
    this.mask = size - 1;
    this.parents = new Int32Array(size);
    this.codes = new Int32Array(size);
    this.children = new Int32Array(size);
    this.ids = new Int32Array(most).fill(NONE);
    this.nodeCount = 0; // the root, 0, is not counted
    this.end = 0;
    for (const [codes, id] of sequences) this.add(codes, id);
  }

  get isEmpty() {
    return this.nodeCount === 0;
  }

  /** Where a node's child is in the table, or the free place where it belongs. */
  /** @param {number} node @param {number} code */
  slotOf(node, code) {
    const mixed = Math.imul(node, 0x9e3779b1) ^ Math.imul(code, 0x85ebca6b);
    let slot = (mixed ^ (mixed >>> 15)) & this.mask;
    while (this.children[slot] && (this.parents[slot] !== node || this.codes[slot] !== code)) {
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }

  /** @param {number[]} codes @param {number} id */
  add(codes, id) {
    let node = 0;
    for (const code of codes) {
      const slot = this.slotOf(node, code);
      if (!this.children[slot]) {
        this.parents[slot] = node;
        this.codes[slot] = code;
        this.children[slot] = ++this.nodeCount;
      }
      node = this.children[slot];
    }
    if (node === 0 || this.ids[node] !== NONE) {
      throw new Error(
        `Expected tokens that differ and are not empty. Received: id ${id}, of which the text ` +
          `rules leave ${node === 0 ? "nothing" : `the same as of id ${this.ids[node]}`}.`,
      );
    }
    this.ids[node] = id;
  }

  /** The id of the longest sequence at a place, its end in `this.end`; NONE where there is none. */
  /** @param {number[]} codes @param {number} place @param {number} end */
  longest(codes, place, end) {
    let node = 0;
    let id = NONE;
    for (let next = place; next < end; next++) {
      node = this.children[this.slotOf(node, codes[next])];
      if (node === 0) break;
      if (this.ids[node] !== NONE) {
        id = this.ids[node];
        this.end = next + 1;
      }
    }
    return id;
  }
}
