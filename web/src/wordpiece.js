/** WordPiece: words are split into pieces, the longest first. */

import { codePoints, flags, normalize, PUNCTUATION, SPACE } from "./normalization.js";
import { NONE, Trie } from "./trie.js";
import { specialTokens, WholeTokens } from "./whole_tokens.js";

/** @typedef {import("./normalization.js").PlacedCodes} PlacedCodes */
/** @typedef {import("./tokens.js").Tokens} Tokens */
/** @typedef {import("./whole_tokens.js").SpecialSettings} SpecialSettings */

/**
 * @typedef {object} WordPieceRules
 * @property {"wordpiece"} [kind]
 * @property {boolean} lowercase
 * @property {boolean | null} strip_accents
 * @property {boolean} split_chinese_characters
 * @property {number} max_input_chars_per_word
 * @property {string} continuing_prefix
 *
 * @typedef {WordPieceRules & SpecialSettings} WordPieceSettings - `tokenizer` of a file's manifest.
 */

/** Splits texts into the tokens of a WordPiece vocabulary. */
export class WordPiece {
  /** [SEP] between two texts, and the segment of the second one. */
  pairSeparators = 1;
  secondSegment = 1;
  space = "";

  /** @param {WordPieceSettings} settings @param {string[]} tokens */
  constructor(settings, tokens) {
    this.rules = {
      lowercase: settings.lowercase,
      stripAccents: settings.strip_accents ?? settings.lowercase,
      splitChinese: settings.split_chinese_characters,
    };
    this.tokens = tokens;
    this.prefix = settings.continuing_prefix;
    this.longestWord = settings.max_input_chars_per_word;
    this.unknownId = tokens.indexOf(settings.unknown_token);
    this.wholeTokens = new WholeTokens(settings, tokens, {
      normalize: (codes, start, end) => normalize(codes, start, end, this.rules),
      split: (text, start, end, found) => this.splitWords(text, start, end, found),
    });
    const pieces = tokens.slice(0, pieceCount(settings, tokens, this.wholeTokens.byId));
    const restOf = (/** @type {string} */ token) => {
      return token.startsWith(this.prefix) ? token.slice(this.prefix.length) : "";
    };
    const sequence = (/** @type {string} */ token, /** @type {number} */ id) => {
      return /** @type {[number[], number]} */ ([codePoints(token), id]);
    };
    const sequences = pieces.map(sequence);
    const rests = pieces.map((token, id) => sequence(restOf(token), id));
    this.starts = new Trie(sequences);
    this.rests = new Trie(rests.filter(([codes]) => codes.length > 0));
  }

  /** @param {string} text */
  split(text) {
    return this.wholeTokens.split(codePoints(text));
  }

  /**
   * The places of the tokens that start a part of a text: a word, a punctuation mark or the like.
   *
   * @param {ArrayLike<number>} tokenIds
   * @param {[number, number][]} offsets
   */
  partStarts(tokenIds, offsets) {
    return Array.from(offsets.keys()).filter((place) => {
      const [start, end] = offsets[place];
      return start < end && !this.continues(tokenIds[place]);
    });
  }

  /** Whether a token continues the word before it. */
  /** @param {number} id */
  continues(id) {
    return this.prefix !== "" && this.tokens[id].startsWith(this.prefix);
  }

  /** Splits at white space and punctuation, and the words into pieces. */
  /** @param {PlacedCodes} text @param {number} start @param {number} end @param {Tokens} found */
  splitWords({ codes, places }, start, end, found) {
    let place = start;
    while (place < end) {
      const first = place++;
      const flag = flags[codes[first]];
      if (flag & SPACE) continue;
      if (!(flag & PUNCTUATION)) {
        while (place < end && !(flags[codes[place]] & (SPACE | PUNCTUATION))) place++;
      }
      if (place - first > this.longestWord || !this.addPieces(codes, places, first, place, found)) {
        found.add(this.unknownId, places[first], places[place - 1] + 1);
      }
    }
  }

  /** Adds the pieces of a word, the longest first, or says that no pieces make it up. */
  /**
   * @param {number[]} codes
   * @param {number[]} places
   * @param {number} start
   * @param {number} end
   * @param {Tokens} found
   */
  addPieces(codes, places, start, end, found) {
    const before = found.length;
    let trie = this.starts;
    let place = start;
    while (place < end) {
      const id = trie.longest(codes, place, end);
      if (id === NONE) {
        found.cut(before);
        return false;
      }
      found.add(id, places[place], places[trie.end - 1] + 1);
      place = trie.end;
      trie = this.rests;
    }
    return true;
  }
}

/** How many tokens are pieces of words: added ones at the end are not. */
/** @param {SpecialSettings} settings @param {string[]} tokens @param {Map<number, unknown>} whole */
function pieceCount(settings, tokens, whole) {
  const special = specialTokens(settings);
  let count = tokens.length;
  while (whole.has(count - 1) && !special.includes(tokens[count - 1])) count--;
  return count;
}
