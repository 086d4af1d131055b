/** Tokens and their places, of one text. */
export class Tokens {
  /** @type {number[]} */
  ids = [];
  /** @type {[number, number][]} */
  offsets = [];

  get length() {
    return this.ids.length;
  }

  /** @param {number} id @param {number} start @param {number} end */
  add(id, start, end) {
    this.ids.push(id);
    this.offsets.push([start, end]);
  }

  /** @param {number} length */
  cut(length) {
    this.ids.length = length;
    this.offsets.length = length;
  }
}
