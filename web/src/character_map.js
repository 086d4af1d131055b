/**
 * The character map of a SentencePiece model: what becomes of some texts of a few bytes.
 *
 * The map (`charsmap.bin`, SentencePiece's precompiled_charsmap) is the size of a trie in bytes, the
 * trie, and the texts that its values are offsets of, each ended by a zero byte. The trie is a double
 * array of uint32 units as Darts-clone lays it out.
 */

import { clusterEnd } from "./graphemes.js";

/** @typedef {import("./normalization.js").PlacedCodes} PlacedCodes */

/** A cluster with as many bytes is replaced character by character. */
const LONG = 6;
const ASCII = 0x80;
const BLANK = 0x20;
const HAS_LEAF = 1 << 8;
const FAR = 1 << 9;
const LABEL = 0x800000ff;
/** First bits of the first byte of a character, by how many bytes follow. */
const LEADS = [0, 0xc0, 0xe0, 0xf0];

export class CharacterMap {
  /**
   * @param {Uint8Array} bytes
   * @throws {Error} It is cut short or damaged.
   */
  constructor(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (size < 4 || size % 4 !== 0 || size > bytes.length - 4) {
      throw new Error(`Expected a whole character map. Received: ${bytes.length} bytes.`);
    }
    this.units = new Uint32Array(size / 4);
    this.units.forEach((_, unit) => {
      this.units[unit] = view.getUint32(4 + 4 * unit, true);
    });
    this.texts = bytes.slice(4 + size); // a copy: the rest of the file may go
    /** @type {Map<number, number[]>} */
    this.known = new Map(); // the code points of texts by their offsets
    this.bytes = new Uint8Array(LONG);
    /** Whether each ASCII character stays as it is. */
    this.isKept = Array.from({ length: ASCII }, (_, code) => this.find([code], 0, 1) === null);
  }

  /**
   * Applies the map to a text.
   *
   * @param {PlacedCodes} text
   * @returns {PlacedCodes}
   */
  apply({ codes, places }) {
    /** @type {number[]} */
    const found = [];
    /** @type {number[]} */
    const changes = []; // 1: inserted; 0: replaces a code point; -n: and n behind it are left out
    const replace = (/** @type {number[]} */ part, /** @type {number} */ replaced) => {
      for (let index = 0; index < part.length; index++) {
        found.push(part[index]);
        changes.push(index < replaced ? 0 : 1);
      }
      // As in the library: what is left out at the very start is not counted.
      if (part.length < replaced && changes.length) {
        changes[changes.length - 1] += part.length - replaced;
      }
    };
    for (let start = 0; start < codes.length; ) {
      const code = codes[start];
      const next = start + 1 < codes.length ? codes[start + 1] : BLANK;
      if (code < ASCII && this.isKept[code] && next >= BLANK && next < ASCII) {
        found.push(code);
        changes.push(0);
        start++;
        continue;
      }
      const end = clusterEnd(codes, start, codes.length);
      const whole = end - start > 1 ? this.find(codes, start, end) : null;
      if (whole) {
        replace(whole, end - start);
        start = end;
      }
      for (; start < end; start++) {
        const part = this.find(codes, start, start + 1);
        if (part) {
          replace(part, 1);
        } else {
          found.push(codes[start]);
          changes.push(0);
        }
      }
    }
    return { codes: found, places: placed(places, changes) };
  }

  /**
   * What becomes of some code points: the text of the shortest key that they begin with. None where
   * they have too many bytes or begin with no key.
   *
   * @param {number[]} codes
   * @param {number} start
   * @param {number} end
   * @returns {number[] | null}
   */
  find(codes, start, end) {
    const length = this.writeUtf8(codes, start, end);
    const { units, bytes } = this;
    let place = offsetOf(units[0]);
    for (let index = 0; index < length; index++) {
      const byte = bytes[index];
      if (byte === 0) return null;
      place ^= byte;
      const unit = units[place]; // undefined behind the end, which has no label
      if ((unit & LABEL) !== byte) return null;
      place ^= offsetOf(unit);
      if (unit & HAS_LEAF) return this.textAt(units[place] & 0x7fffffff);
    }
    return null;
  }

  /** Writes some code points to `bytes`; gives how many bytes, 0 where they are too many. */
  /** @param {number[]} codes @param {number} start @param {number} end */
  writeUtf8(codes, start, end) {
    const { bytes } = this;
    let length = 0;
    for (let index = start; index < end; index++) {
      const code = codes[index];
      const more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      if (length + more + 1 >= LONG) return 0;
      bytes[length++] = LEADS[more] | (code >> (6 * more));
      for (let rest = more - 1; rest >= 0; rest--) bytes[length++] = 0x80 | ((code >> (6 * rest)) & 63);
    }
    return length;
  }

  /** @param {number} offset */
  textAt(offset) {
    let codes = this.known.get(offset);
    if (!codes) {
      const end = this.texts.indexOf(0, offset);
      const part = this.texts.subarray(offset, end < 0 ? this.texts.length : end);
      codes = Array.from(new TextDecoder("utf-8", { ignoreBOM: true }).decode(part), (character) => {
        return /** @type {number} */ (character.codePointAt(0));
      });
      this.known.set(offset, codes);
    }
    return codes;
  }
}

/** @param {number} unit */
function offsetOf(unit) {
  return (unit >>> 10) << ((unit & FAR) >>> 6);
}

/**
 * The places of code points, out of those that they come of.
 *
 * @param {number[]} places
 * @param {number[]} changes
 */
function placed(places, changes) {
  let used = 0;
  return changes.map((change) => {
    if (change > 0) return places[used - 1];
    const place = places[used];
    used += 1 - change;
    return place;
  });
}
