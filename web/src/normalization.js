/**
 * Text as WordPiece sees it: cleaned, without accents, in lower case.
 *
 * A text is worked on as numbers, its Unicode code points. The tables of characters.js are used in
 * place of the browser's own, which are of another Unicode version in each browser.
 */

import * as characters from "./characters.js";

const REMOVED = 1;
export const SPACE = 2;
export const PUNCTUATION = 4;
export const CHINESE = 8;
export const MARK = 16;
const DECOMPOSED = 32;
const CASED = 64;
const REORDERED = 128;
export const CODE_POINTS = 0x110000;
const REPLACEMENT = 0xfffd;
const BLANK = 0x20;

/** What each code point is: a sum of the flags above. */
export const flags = new Uint8Array(CODE_POINTS);
/** @type {Map<number, number[]>} */
const lowercase = new Map();
/** @type {Map<number, number>} */
const combiningClasses = new Map();
/** @type {Map<number, number[]>} */
const decompositions = new Map();
/** @type {Uint8Array | null} */
let wordCharacters = null;

readTables();

/**
 * The code points of a text; a lone surrogate (half of a pair, which is no character) is U+FFFD.
 *
 * @param {string} text
 * @returns {number[]}
 */
export function codePoints(text) {
  const codes = [];
  for (let unit = 0; unit < text.length; unit++) {
    let code = text.charCodeAt(unit);
    if (code >= 0xd800 && code < 0xe000) {
      code = /** @type {number} */ (text.codePointAt(unit));
      if (code > 0xffff) unit++;
      else code = REPLACEMENT;
    }
    codes.push(code);
  }
  return codes;
}

/**
 * @typedef {{codes: number[], places: number[]}} PlacedCodes - Code points, and where in a text each
 *   comes from.
 * @typedef {(start: number, end: number) => void} VisitRange
 */

/**
 * Cleans a part of a text, splits off Chinese characters, strips accents and lowercases.
 *
 * @param {number[]} codes - Code points.
 * @param {number} start - Where the part starts.
 * @param {number} end - Where it ends.
 * @param {{lowercase: boolean, stripAccents: boolean, splitChinese: boolean}} rules
 * @returns {{codes: number[], places: number[]}} What comes of it, and where in `codes` each code
 *   point of it comes from.
 */
export function normalize(codes, start, end, rules) {
  /** @type {PlacedCodes} */
  let text = { codes: [], places: [] };
  let seen = 0;
  for (let place = start; place < end; place++) {
    const code = codes[place];
    const flag = flags[code];
    if (flag & REMOVED) continue;
    seen |= flag;
    if (flag & CHINESE && rules.splitChinese) {
      text.codes.push(BLANK, code, BLANK);
      text.places.push(place, place, place);
    } else {
      text.codes.push(flag & SPACE ? BLANK : code);
      text.places.push(place);
    }
  }
  if (rules.stripAccents && seen & (DECOMPOSED | REORDERED | MARK)) text = withoutAccents(text);
  if (rules.lowercase && seen & (DECOMPOSED | CASED)) text = lowercased(text);
  return text;
}

/**
 * Whether a letter, a digit or the like stands at a place of a text.
 *
 * @param {number[]} codes - Code points.
 * @param {number} place - May be outside the text, where nothing stands.
 * @returns {boolean}
 */
export function isWordAt(codes, place) {
  if (place < 0 || place >= codes.length) return false;
  if (wordCharacters === null) {
    const table = new Uint8Array(CODE_POINTS);
    readSet(characters.wordCharacters, (start, end) => table.fill(1, start, end));
    wordCharacters = table;
  }
  return wordCharacters[codes[place]] === 1;
}

/**
 * Takes letters and accents apart (NFD), and leaves out the accents.
 *
 * @param {PlacedCodes} text
 * @returns {PlacedCodes}
 */
function withoutAccents({ codes, places }) {
  /** @type {PlacedCodes} */
  const result = { codes: [], places: [] };
  /** @type {{code: number, order: number, isFirst: boolean}[]} */
  const run = []; // a letter and its marks, which are put in the order of their classes
  let used = 0; // how many characters of the text are in `result`
  const finishRun = () => {
    if (run.length > 1) run.sort((one, other) => one.order - other.order);
    for (const { code, isFirst } of run) {
      if (isFirst) used++;
      if (flags[code] & MARK) continue;
      result.codes.push(code);
      // As in the library: of marks that change places, each has the place where it comes to stand.
      result.places.push(places[used - 1]);
    }
    run.length = 0;
  };
  const add = (/** @type {number} */ code, /** @type {boolean} */ isFirst) => {
    const order = flags[code] & REORDERED ? (combiningClasses.get(code) ?? 0) : 0;
    if (order === 0) finishRun();
    run.push({ code, order, isFirst });
  };
  for (const code of codes) {
    if (flags[code] & DECOMPOSED) {
      decomposition(code).forEach((part, index) => add(part, index === 0));
    } else {
      add(code, true);
    }
  }
  finishRun();
  return result;
}

/** @param {number} code */
function decomposition(code) {
  let parts = decompositions.get(code);
  if (parts === undefined) {
    // Here the browser's table serves: Unicode never changes how it takes a character apart.
    parts = codePoints(String.fromCodePoint(code).normalize("NFD"));
    decompositions.set(code, parts);
  }
  return parts;
}

/**
 * @param {PlacedCodes} text
 * @returns {PlacedCodes}
 */
function lowercased({ codes, places }) {
  /** @type {PlacedCodes} */
  const result = { codes: [], places: [] };
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index];
    if (flags[code] & CASED) {
      for (const lower of lowercase.get(code) ?? []) {
        result.codes.push(lower);
        result.places.push(places[index]);
      }
    } else {
      result.codes.push(code);
      result.places.push(places[index]);
    }
  }
  return result;
}

function readTables() {
  const setFlag = (/** @type {number} */ flag) => (/** @type {number} */ start, /** @type {number} */ end) => {
    for (let code = start; code < end; code++) flags[code] |= flag;
  };
  readSet(characters.removed, setFlag(REMOVED));
  readSet(characters.spaces, setFlag(SPACE));
  readSet(characters.punctuation, setFlag(PUNCTUATION));
  readSet(characters.chineseCharacters, setFlag(CHINESE));
  readSet(characters.marks, setFlag(MARK));
  readSet(characters.decomposed, setFlag(DECOMPOSED));
  for (const [delta, set] of Object.entries(characters.lowercase)) {
    readSet(set, (start, end) => {
      for (let code = start; code < end; code++) lowercase.set(code, [code + Number(delta)]);
    });
  }
  for (const [code, codes] of Object.entries(characters.longLowercase)) {
    lowercase.set(Number(code), codes);
  }
  for (const code of lowercase.keys()) flags[code] |= CASED;
  for (const [order, set] of Object.entries(characters.combiningClasses)) {
    readSet(set, (start, end) => {
      for (let code = start; code < end; code++) combiningClasses.set(code, Number(order));
    });
  }
  for (const code of combiningClasses.keys()) flags[code] |= REORDERED;
}

/**
 * Calls back with each range, start and end, of a set of characters.js.
 *
 * @param {string} set
 * @param {VisitRange} visit
 */
export function readSet(set, visit) {
  let end = 0;
  for (const range of set.trim().split(" ")) {
    const [gap, length = "1"] = range.split(":");
    const start = end + parseInt(gap, 36);
    end = start + parseInt(length, 36);
    visit(start, end);
  }
}
