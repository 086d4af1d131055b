/**
 * WordPiece tokenization: text in, token ids with their places in the text out.
 *
 * It gives what `edgebert.encoding.tokenizer` gives in Python, for any text, and tests hold it to that.
 *
 *     const tokenizer = createTokenizer(settings, tokens);
 *     const { tokenIds, segmentIds } = tokenizer.encode("play some music", 32);
 */

import { codePoints, flags, isWordAt, normalize, PUNCTUATION, SPACE } from "./normalization.js";
import { NONE, Trie } from "./trie.js";

/** @typedef {import("./normalization.js").PlacedCodes} PlacedCodes */
/** @typedef {[number[], number]} Sequence - Code points and an id. */

/** @type {("unknown_token" | "cls_token" | "sep_token" | "pad_token" | "mask_token")[]} */
const SPECIAL_SETTINGS = ["unknown_token", "cls_token", "sep_token", "pad_token", "mask_token"];

/**
 * @typedef {object} AddedToken - A token that is found whole.
 * @property {string} content
 * @property {boolean} [normalized]
 * @property {boolean} [single_word]
 * @property {boolean} [lstrip]
 * @property {boolean} [rstrip]
 *
 * @typedef {object} TokenizerSettings - `tokenizer` of a file's manifest.
 * @property {boolean} lowercase
 * @property {boolean | null} strip_accents
 * @property {boolean} split_chinese_characters
 * @property {string} unknown_token
 * @property {string} cls_token
 * @property {string} sep_token
 * @property {string} pad_token
 * @property {string} mask_token
 * @property {number} max_input_chars_per_word
 * @property {string} continuing_prefix
 * @property {AddedToken[]} added_tokens
 */

/**
 * Makes a tokenizer.
 *
 * @param {TokenizerSettings} settings - `Vocabulary.to_settings()`, read from JSON.
 * @param {string[]} tokens - Every token; a token's id is its place.
 * @param {boolean} [segments] - Whether segment ids tell a second text from the first; else they
 *   are all 0.
 * @returns {{encode: function(string, number=, ?string=): Encoding}}
 * @throws {Error} A special or added token is not among the tokens, or the text rules make two
 *   added tokens the same.
 *
 * @typedef {object} Encoding - `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`; never padded.
 * @property {Int32Array} tokenIds
 * @property {Int32Array} segmentIds - 1 for the tokens of B and the [SEP] after it, 0 before.
 * @property {[number, number][]} offsets - Each token's start and end in its text, in Unicode code
 *   points (see `toUtf16Offsets`); [0, 0] for the tokens that frame the texts.
 */
export function createTokenizer(settings, tokens, segments = true) {
  const splitter = new Splitter(settings, tokens);
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
      const room = roomFor(texts, maxLength);
      const parts = texts.map((each) => splitter.split(each));
      const kept = longestFirst(parts.map((part) => part.length), room);
      parts.forEach((part, index) => part.cut(kept[index]));
      return framed(parts, clsId, sepId, segments);
    },
  };
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

/** Tokens and their places, of one text. */
class Tokens {
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

/** Splits texts into the tokens of a vocabulary. */
class Splitter {
  /** @param {TokenizerSettings} settings @param {string[]} tokens */
  constructor(settings, tokens) {
    this.rules = {
      lowercase: settings.lowercase,
      stripAccents: settings.strip_accents ?? settings.lowercase,
      splitChinese: settings.split_chinese_characters,
    };
    this.longestWord = settings.max_input_chars_per_word;
    this.unknownId = tokens.indexOf(settings.unknown_token);
    this.wholeTokens = wholeTokens(settings, tokens);
    this.rawTokens = new Trie(this.wholeSequences(false));
    this.normalTokens = new Trie(this.wholeSequences(true));
    const prefix = settings.continuing_prefix;
    const pieces = tokens.slice(0, pieceCount(settings, tokens, this.wholeTokens));
    const restOf = (/** @type {string} */ token) => (token.startsWith(prefix) ? token.slice(prefix.length) : "");
    const sequence = (/** @type {string} */ token, /** @type {number} */ id) => {
      return /** @type {Sequence} */ ([codePoints(token), id]);
    };
    const sequences = pieces.map(sequence);
    const rests = pieces.map((token, id) => sequence(restOf(token), id));
    this.starts = new Trie(sequences);
    this.rests = new Trie(rests.filter(([codes]) => codes.length > 0));
  }

  /** Code points and ids of the tokens that are found whole, in text before or after the rules. */
  /** @param {boolean} normalized */
  wholeSequences(normalized) {
    /** @type {Sequence[]} */
    const found = [];
    for (const [id, token] of this.wholeTokens) {
      if (token.normalized !== normalized) continue;
      const codes = codePoints(token.content);
      found.push([normalized ? normalize(codes, 0, codes.length, this.rules).codes : codes, id]);
    }
    return found;
  }

  /** @param {string} text */
  split(text) {
    const codes = codePoints(text);
    const found = new Tokens();
    this.splitAtTokens(this.rawTokens, codes, (id, start, end) => {
      if (id !== NONE) found.add(id, start, end);
      else this.splitNormalized(normalize(codes, start, end, this.rules), found);
    });
    return found;
  }

  /** @param {PlacedCodes} text @param {Tokens} found */
  splitNormalized(text, found) {
    this.splitAtTokens(this.normalTokens, text.codes, (id, start, end) => {
      if (id !== NONE) found.add(id, text.places[start], text.places[end - 1] + 1);
      else this.splitWords(text, start, end, found);
    });
  }

  /** Calls back with every part of a text: its token that is found whole or NONE, start and end. */
  /**
   * @param {Trie} trie
   * @param {number[]} codes
   * @param {(id: number, start: number, end: number) => void} visit
   */
  splitAtTokens(trie, codes, visit) {
    const length = codes.length;
    let done = 0;
    let place = trie.isEmpty ? length : 0;
    while (place < length) {
      const id = trie.longest(codes, place, length);
      if (id === NONE) {
        place++;
        continue;
      }
      const token = /** @type {AddedToken} */ (this.wholeTokens.get(id));
      let start = place;
      let end = trie.end;
      place = end;
      if (token.single_word && (isWordAt(codes, start - 1) || isWordAt(codes, end))) continue;
      if (token.lstrip) {
        while (start > 0 && flags[codes[start - 1]] & SPACE) start--;
        start = Math.max(start, done); // the token before may have taken that white space
      }
      if (token.rstrip) {
        while (end < length && flags[codes[end]] & SPACE) end++;
      }
      if (done < start) visit(NONE, done, start);
      visit(id, start, end);
      done = end;
    }
    if (done !== length) visit(NONE, done, length);
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

/** How many tokens of the texts an encoding of `maxLength` has room for. */
/** @param {string[]} texts @param {number} maxLength */
function roomFor(texts, maxLength) {
  for (const text of texts) {
    if (typeof text !== "string") throw new TypeError(`Expected a text. Received: ${text}.`);
  }
  const least = texts.length + 1;
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

/** Puts [CLS] before the texts and [SEP] after each. */
/** @param {Tokens[]} parts @param {number} clsId @param {number} sepId @param {boolean} segments */
function framed(parts, clsId, sepId, segments) {
  const ids = [clsId];
  /** @type {[number, number][]} */
  const offsets = [[0, 0]];
  for (const part of parts) {
    for (let index = 0; index < part.length; index++) {
      ids.push(part.ids[index]);
      offsets.push(part.offsets[index]);
    }
    ids.push(sepId);
    offsets.push([0, 0]);
  }
  const segmentIds = new Int32Array(ids.length);
  if (segments) segmentIds.fill(1, parts[0].length + 2);
  return { tokenIds: Int32Array.from(ids), segmentIds, offsets };
}

/** Every token that is found whole, the special ones too: id -> the token with its flags. */
/** @param {TokenizerSettings} settings @param {string[]} tokens */
function wholeTokens(settings, tokens) {
  /** @type {Map<string, AddedToken>} */
  const byContent = new Map();
  const plain = { normalized: false, single_word: false, lstrip: false, rstrip: false };
  for (const name of SPECIAL_SETTINGS) {
    byContent.set(settings[name], { ...plain, content: settings[name] });
  }
  for (const token of settings.added_tokens) byContent.set(token.content, { ...plain, ...token });
  /** @type {Map<number, AddedToken>} */
  const byId = new Map();
  for (const token of byContent.values()) {
    const id = tokens.indexOf(token.content);
    if (id < 0) {
      throw new Error(`Expected ${JSON.stringify(token.content)} among the tokens. It is not.`);
    }
    byId.set(id, token);
  }
  return byId;
}

/** How many tokens are pieces of words: added ones at the end are not. */
/** @param {TokenizerSettings} settings @param {string[]} tokens @param {Map<number, AddedToken>} whole */
function pieceCount(settings, tokens, whole) {
  const special = SPECIAL_SETTINGS.map((name) => settings[name]);
  let count = tokens.length;
  while (whole.has(count - 1) && !special.includes(tokens[count - 1])) count--;
  return count;
}
