/**
 * Tokenization: text in, token ids with their places in the text out.
 *
 * It gives what `edgebert.encoding.tokenizer` gives in Python, for any text, and tests hold it to that.
 *
 *     const tokenizer = createTokenizer(settings, tokens);
 *     const { tokenIds, segmentIds } = tokenizer.encode("play some music", 32);
 */

import { Unigram } from "./unigram.js";
import { WordPiece } from "./wordpiece.js";

/** @typedef {import("./tokens.js").Tokens} Tokens */
/** @typedef {import("./wordpiece.js").WordPieceSettings} WordPieceSettings */
/** @typedef {import("./unigram.js").UnigramSettings} UnigramSettings */
/** @typedef {import("./unigram.js").UnigramModel} UnigramModel */
/** @typedef {WordPieceSettings | UnigramSettings} TokenizerSettings - `tokenizer` of a file's manifest. */

/**
 * Makes a tokenizer.
 *
 * @param {TokenizerSettings} settings - `to_settings()` of a vocabulary, read from JSON.
 * @param {string[]} tokens - Every token; a token's id is its place.
 * @param {boolean} [segments] - Whether segment ids tell a second text from the first; else they
 *   are all 0.
 * @param {UnigramModel | null} [model] - Scores and character map of a Unigram vocabulary.
 * @returns {Tokenizer}
 * @throws {Error} A special or added token is not among the tokens, or the text rules make two
 *   added tokens the same; a Unigram vocabulary has no scores or a rule that is not known.
 *
 * @typedef {object} Tokenizer
 * @property {(text: string, maxLength?: number, pair?: string | null) => Encoding} encode
 * @property {number} pairSeparators - How many [SEP] stand between two texts.
 * @property {number} secondSegment - The segment id of the second of two texts.
 * @property {(encoding: Encoding) => number[]} partStarts - The places of the tokens that start a part
 *   of a text: a word, a punctuation mark or the like.
 * @property {string} space - The character for a space at the start of tokens; empty if they have
 *   none.
 *
 * @typedef {object} Encoding - `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, of some vocabularies
 *   `[CLS] A [SEP] [SEP] B [SEP]`; never padded.
 * @property {Int32Array} tokenIds
 * @property {Int32Array} segmentIds - 1 for the tokens of B and the [SEP] after it, 0 before; all 0
 *   of some vocabularies.
 * @property {[number, number][]} offsets - Each token's start and end in its text, in Unicode code
 *   points (see `toUtf16Offsets`); [0, 0] for the tokens that frame the texts.
 */
export function createTokenizer(settings, tokens, segments = true, model = null) {
  const splitter = splitterOf(settings, tokens, model);
  const { pairSeparators } = splitter;
  const secondSegment = segments ? splitter.secondSegment : 0;
  const clsId = tokens.indexOf(settings.cls_token);
  const sepId = tokens.indexOf(settings.sep_token);
  return {
    /**
     * Encodes a text, or a pair of texts.
     *
     * @param {string} text - Any text.
     * @param {number} [maxLength] - Cuts the encoding to so many tokens, special ones included;
     *   [CLS] and [SEP] stay. Of a pair, tokens are cut from the longer text first.
     * @param {?string} [pair] - A second text.
     * @returns {Encoding}
     * @throws {RangeError} `maxLength` leaves no room for the special tokens.
     */
    encode(text, maxLength = Infinity, pair = null) {
      const texts = pair === null ? [text] : [text, pair];
      const room = roomFor(texts, maxLength, pairSeparators);
      const parts = texts.map((each) => splitter.split(each));
      const kept = longestFirst(parts.map((part) => part.length), room);
      parts.forEach((part, index) => part.cut(kept[index]));
      return framed(parts, { clsId, sepId, pairSeparators, secondSegment });
    },
    pairSeparators,
    secondSegment,
    partStarts: ({ tokenIds, offsets }) => splitter.partStarts(tokenIds, offsets),
    space: splitter.space,
  };
}

/** @param {TokenizerSettings} settings @param {string[]} tokens @param {UnigramModel | null} model */
function splitterOf(settings, tokens, model) {
  if (settings.kind !== "unigram") return new WordPiece(settings, tokens);
  if (model === null) throw new Error("Expected the scores of a Unigram vocabulary. There are none.");
  return new Unigram(settings, tokens, model);
}

/**
 * Turns offsets in code points into offsets as JavaScript counts characters (UTF-16 code units), so
 * that `text.slice(start, end)` is the text of a token.
 *
 * @param {string} text - What the offsets are of.
 * @param {[number, number][]} offsets - As `encode` gives them.
 * @returns {[number, number][]}
 */
export function toUtf16Offsets(text, offsets) {
  /** @type {number[]} */
  const starts = [];
  const isPair = (/** @type {number} */ unit) => /** @type {number} */ (text.codePointAt(unit)) > 0xffff;
  for (let unit = 0; unit < text.length; unit += isPair(unit) ? 2 : 1) {
    starts.push(unit);
  }
  starts.push(text.length);
  return offsets.map(([start, end]) => [starts[start], starts[end]]);
}

/** How many tokens of the texts an encoding of `maxLength` has room for. */
/** @param {string[]} texts @param {number} maxLength @param {number} pairSeparators */
function roomFor(texts, maxLength, pairSeparators) {
  for (const text of texts) {
    if (typeof text !== "string") throw new TypeError(`Expected a text. Received: ${text}.`);
  }
  const least = texts.length === 1 ? 2 : 2 + pairSeparators;
  if (!(maxLength >= least)) {
    throw new RangeError(
      `Expected a maxLength of at least ${least}, for the special tokens. Received: ${maxLength}.`,
    );
  }
  return maxLength - least;
}

/** How many tokens of each text stay, where all together may have `room`. */
/** @param {number[]} lengths @param {number} room */
function longestFirst(lengths, room) {
  if (lengths.length === 1) return [Math.min(lengths[0], room)];
  let [shorter, longer] = lengths[0] <= lengths[1] ? lengths : [lengths[1], lengths[0]];
  if (shorter + longer > room) longer = Math.max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = Math.floor(room / 2);
    longer = room - shorter;
  }
  return lengths[0] <= lengths[1] ? [shorter, longer] : [longer, shorter];
}

/**
 * Puts [CLS] before the texts and [SEP] after each, more than one between them if so set.
 *
 * @param {Tokens[]} parts
 * @param {{clsId: number, sepId: number, pairSeparators: number, secondSegment: number}} frame
 * @returns {Encoding}
 */
function framed(parts, { clsId, sepId, pairSeparators, secondSegment }) {
  const ids = [clsId];
  /** @type {[number, number][]} */
  const offsets = [[0, 0]];
  parts.forEach((part, number) => {
    for (let index = 0; index < part.length; index++) {
      ids.push(part.ids[index]);
      offsets.push(part.offsets[index]);
    }
    const separators = number + 1 < parts.length ? pairSeparators : 1;
    for (let count = 0; count < separators; count++) {
      ids.push(sepId);
      offsets.push([0, 0]);
    }
  });
  const segmentIds = new Int32Array(ids.length);
  if (parts.length > 1) segmentIds.fill(secondSegment, parts[0].length + 1 + pairSeparators);
  return { tokenIds: Int32Array.from(ids), segmentIds, offsets };
}
