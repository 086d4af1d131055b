/**
 * The pieces of a Unigram model by their code points: a hash table.
 *
 * A piece is looked for by a range of code points and its hash, so no text is made, and 250,000 pieces
 * are a few arrays of numbers.
 */

/** The id where there is no piece. */
export const NO_PIECE = -1;
const MIXER = 0x9e3779b1; // 2^32 over the golden ratio

export class PieceTable {
  /**
   * @param {string[]} tokens - Of which the first `count` are pieces.
   * @param {number} count
   * @throws {Error} A piece is empty or twice there.
   */
  constructor(tokens, count) {
    const bits = Math.max(4, Math.ceil(Math.log2(2 * count)));
    this.tokens = tokens;
    this.shift = 32 - bits;
    this.mask = 2 ** bits - 1;
    this.slots = new Int32Array(2 ** bits); // id + 1; 0 is free
    this.hashes = new Int32Array(count);
    /** A bit for each hash of what pieces begin with. */
    this.beginnings = new Uint32Array(2 ** (bits - 2));
    this.bitShift = 29 - bits;
    /** Code points of the longest piece. */
    this.longest = 0;
    for (let id = 0; id < count; id++) this.add(id);
  }

  /**
   * The hash of some code points, one more taken in; of none it is 0.
   *
   * @param {number} hash
   * @param {number} code
   */
  static hash(hash, code) {
    return (Math.imul(hash, 31) + code) | 0;
  }

  /** Whether a piece may begin with some code points, by their hash: false where none does. */
  /** @param {number} hash */
  mayBegin(hash) {
    const bit = Math.imul(hash, MIXER) >>> this.bitShift;
    return ((this.beginnings[bit >>> 5] >>> (bit & 31)) & 1) !== 0;
  }

  /**
   * The id of a piece.
   *
   * @param {number} hash - Of its code points.
   * @param {number[]} codes
   * @param {number} start
   * @param {number} end
   */
  find(hash, codes, start, end) {
    let slot = Math.imul(hash, MIXER) >>> this.shift;
    for (let entry = this.slots[slot]; entry !== 0; entry = this.slots[slot]) {
      if (this.hashes[entry - 1] === hash && this.isPiece(entry - 1, codes, start, end)) return entry - 1;
      slot = (slot + 1) & this.mask;
    }
    return NO_PIECE;
  }

  /** @param {number} id @param {number[]} codes @param {number} start @param {number} end */
  isPiece(id, codes, start, end) {
    const token = this.tokens[id];
    let unit = 0;
    for (let place = start; place < end; place++) {
      const code = codes[place];
      if (token.codePointAt(unit) !== code) return false;
      unit += code > 0xffff ? 2 : 1;
    }
    return unit === token.length;
  }

  /** @param {number} id */
  add(id) {
    const token = this.tokens[id];
    let hash = 0;
    let length = 0;
    for (let unit = 0; unit < token.length; unit++) {
      const code = /** @type {number} */ (token.codePointAt(unit));
      if (code > 0xffff) unit++;
      hash = PieceTable.hash(hash, code);
      length++;
      const bit = Math.imul(hash, MIXER) >>> this.bitShift;
      this.beginnings[bit >>> 5] |= 1 << (bit & 31);
    }
    let slot = Math.imul(hash, MIXER) >>> this.shift;
    for (let entry = this.slots[slot]; entry !== 0; entry = this.slots[slot]) {
      if (this.hashes[entry - 1] === hash && this.tokens[entry - 1] === token) {
        throw new Error(`Expected pieces that differ. Received: ${JSON.stringify(token)} twice.`);
      }
      slot = (slot + 1) & this.mask;
    }
    if (length === 0) throw new Error(`Expected pieces that are not empty. Received: piece ${id}.`);
    this.slots[slot] = id + 1;
    this.hashes[id] = hash;
    this.longest = Math.max(this.longest, length);
  }
}
