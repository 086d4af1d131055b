/** Where grapheme clusters end: Unicode Standard Annex 29, as the `tokenizers` library has it. */

import * as tables from "./grapheme_tables.js";
import { CODE_POINTS, readSet } from "./normalization.js";

const CONTROL = 1;
const EXTEND = 2;
const LINKER = 3;
const JOINER = 4;
const SPACING_MARK = 5;
const PREPEND = 6;
const CONSONANT = 7;
const PICTOGRAPH = 8;
/** Hangul: a leading consonant, a vowel, a trailing consonant, and syllables of two and of three. */
const L = 9;
const V = 10;
const T = 11;
const LV = 12;
const LVT = 13;

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NON_JOINER = 0x200c;
const ZERO_WIDTH_JOINER = 0x200d;
/** A code point below continues a cluster behind few others only. */
const FIRST_JOINING = 0x300;
/** @type {[number, number, number][]} */
const HANGUL = [
  [L, 0x1100, 0x1160],
  [L, 0xa960, 0xa97d],
  [V, 0x1160, 0x11a8],
  [V, 0xd7b0, 0xd7c7],
  [T, 0x11a8, 0x1200],
  [T, 0xd7cb, 0xd7fc],
  [LVT, 0xac00, 0xd7a4],
];
const TRAILS = 28;

/** @type {Uint8Array | null} */
let classes = null;

/**
 * Where the cluster ends that starts at a place.
 *
 * @param {number[]} codes - Code points.
 * @param {number} start
 * @param {number} end - Of the text.
 */
export function clusterEnd(codes, start, end) {
  const classOf = (classes ??= readClasses());
  let before = classOf[codes[start]];
  let isPictograph = before === PICTOGRAPH; // a pictograph and Extend* so far
  let isConsonant = before === CONSONANT; // a consonant and marks of its conjunct so far
  let isLinked = false; // with a linker among them
  let place = start + 1;
  for (; place < end; place++) {
    const code = codes[place];
    if (code < FIRST_JOINING && before !== PREPEND && before !== JOINER) {
      const isLineEnd = code === LINE_FEED && codes[place - 1] === CARRIAGE_RETURN;
      return isLineEnd ? place + 1 : place;
    }
    const next = classOf[code];
    if (before === CONTROL || next === CONTROL) break;
    const continues =
      joins(before, next) ||
      (next === CONSONANT && isConsonant && isLinked) ||
      (next === PICTOGRAPH && before === JOINER && isPictograph);
    if (!continues) break;
    const isMark = next === EXTEND || next === LINKER || next === JOINER;
    isPictograph = next === PICTOGRAPH || (isPictograph && isMark && before !== JOINER);
    isLinked = next !== CONSONANT && (isLinked || next === LINKER);
    isConsonant = next === CONSONANT || (isConsonant && isMark && code !== NON_JOINER);
    before = next;
  }
  return place;
}

/** Whether two classes join wherever they meet: rules GB6 to GB9b. */
/** @param {number} before @param {number} next */
function joins(before, next) {
  if (next >= EXTEND && next <= SPACING_MARK) return true;
  if (before === PREPEND) return true;
  if (before === L) return next === L || next === V || next === LV || next === LVT;
  if (before === V || before === LV) return next === V || next === T;
  return (before === T || before === LVT) && next === T;
}

function readClasses() {
  const found = new Uint8Array(CODE_POINTS);
  const set = (/** @type {string} */ content, /** @type {number} */ value) => {
    readSet(content, (start, end) => found.fill(value, start, end));
  };
  set(tables.controls, CONTROL);
  set(tables.extenders, EXTEND);
  set(tables.linkers, LINKER);
  set(tables.spacingMarks, SPACING_MARK);
  set(tables.prepended, PREPEND);
  set(tables.consonants, CONSONANT);
  set(tables.pictographs, PICTOGRAPH);
  for (const [value, start, end] of HANGUL) found.fill(value, start, end);
  for (let code = 0xac00; code < 0xd7a4; code += TRAILS) found[code] = LV;
  found[LINE_FEED] = found[CARRIAGE_RETURN] = CONTROL;
  found[ZERO_WIDTH_JOINER] = JOINER;
  return found;
}
