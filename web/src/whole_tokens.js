/** Tokens that are found whole, before the rest of a text is split into pieces. */

import { codePoints, flags, isWordAt, SPACE } from "./normalization.js";
import { Tokens } from "./tokens.js";
import { NONE, Trie } from "./trie.js";

/** @typedef {import("./normalization.js").PlacedCodes} PlacedCodes */

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
 * @typedef {object} SpecialSettings - What the settings of all tokenizers have.
 * @property {string} unknown_token
 * @property {string} cls_token
 * @property {string} sep_token
 * @property {string} pad_token
 * @property {string} mask_token
 * @property {AddedToken[]} added_tokens
 *
 * @typedef {object} TextSplitter - What differs from one kind of tokenizer to another.
 * @property {(codes: number[], start: number, end: number) => PlacedCodes} normalize - Applies the
 *   text rules to a part of a text.
 * @property {(text: PlacedCodes, start: number, end: number, found: Tokens) => void} split - Splits
 *   what comes of it.
 */

export class WholeTokens {
  /**
   * @param {SpecialSettings} settings
   * @param {string[]} tokens - Every token; a token's id is its place.
   * @param {TextSplitter} splitter - Takes what lies between.
   * @throws {Error} A token is not among the tokens, or the text rules make two of them the same.
   */
  constructor(settings, tokens, splitter) {
    this.splitter = splitter;
    this.byId = tokensById(settings, tokens);
    this.rawTokens = new Trie(this.sequences(false));
    this.normalTokens = new Trie(this.sequences(true));
  }

  /**
   * Splits a text into tokens.
   *
   * @param {number[]} codes - Its code points.
   */
  split(codes) {
    const found = new Tokens();
    this.splitAt(this.rawTokens, codes, (id, start, end) => {
      if (id !== NONE) found.add(id, start, end);
      else this.splitNormalized(this.splitter.normalize(codes, start, end), found);
    });
    return found;
  }

  /** @param {PlacedCodes} text @param {Tokens} found */
  splitNormalized(text, found) {
    this.splitAt(this.normalTokens, text.codes, (id, start, end) => {
      if (id !== NONE) found.add(id, text.places[start], text.places[end - 1] + 1);
      else this.splitter.split(text, start, end, found);
    });
  }

  /** Code points and ids of the tokens that are looked for before the text rules, or after them. */
  /** @param {boolean} normalized */
  sequences(normalized) {
    /** @type {[number[], number][]} */
    const found = [];
    for (const [id, token] of this.byId) {
      if ((token.normalized ?? false) !== normalized) continue;
      const codes = codePoints(token.content);
      found.push([normalized ? this.splitter.normalize(codes, 0, codes.length).codes : codes, id]);
    }
    return found;
  }

  /** Calls back with every part of a text: its token that is found whole or NONE, start and end. */
  /**
   * @param {Trie} trie
   * @param {number[]} codes
   * @param {(id: number, start: number, end: number) => void} visit
   */
  splitAt(trie, codes, visit) {
    const length = codes.length;
    let done = 0;
    let place = trie.isEmpty ? length : 0;
    while (place < length) {
      const id = trie.longest(codes, place, length);
      if (id === NONE) {
        place++;
        continue;
      }
      const token = /** @type {AddedToken} */ (this.byId.get(id));
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
}

/**
 * The contents of the five special tokens.
 *
 * @param {SpecialSettings} settings
 */
export function specialTokens(settings) {
  return SPECIAL_SETTINGS.map((name) => settings[name]);
}

/** Every token that is found whole, the special ones too: id -> the token with its flags. */
/** @param {SpecialSettings} settings @param {string[]} tokens */
function tokensById(settings, tokens) {
  /** @type {Map<string, AddedToken>} */
  const byContent = new Map();
  for (const content of specialTokens(settings)) byContent.set(content, { content });
  for (const token of settings.added_tokens) byContent.set(token.content, token);
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
