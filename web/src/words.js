/**
 * A tag for each word, and the entities that tags say.
 *
 * A part of a text is a token that starts a word and the continuing tokens behind it; each part of
 * a typed text is a word. What the model says at its first token holds for it. Long texts are read
 * in windows that overlap.
 */

import { partOf } from "./encodings.js";
import { ModelError } from "./errors.js";
import { codePoints, flags, MARK } from "./normalization.js";
import { asLogits, largest, row, softmax } from "./numbers.js";
import { toUtf16Offsets } from "./tokenizer.js";

/** @typedef {import("./tasks.js").ModelFacts} ModelFacts */
/** @typedef {import("./tokenizer.js").Encoding} Encoding */
/** @typedef {import("./numbers.js").Rows} Rows */
/** @typedef {{text: string, tag: string | null, start: number, end: number, score: number}} Word */
/** @typedef {{type: string, start: number, end: number}} Span */
/**
 * @typedef {object} WordFeatures
 * @property {Encoding[]} windows
 * @property {[number, number][]} places - Of the words, in UTF-16 code units.
 * @property {{tokens: number[], words: number[]}[]} parts - Of each window: where the parts that
 *   are read in it start, and which words they are. A word without a part has no tag.
 */

const DEFAULT_OVERLAP = 0.25;
const SHORTEST = 3;
const OUTSIDE = "O";
/** @type {Record<string, string>} */
const AS_IOB2 = { B: "B", I: "I", E: "I", L: "I", S: "B", U: "B" };

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @returns {WordFeatures}
 */
export function encodeWords(facts, [text]) {
  const encoding = facts.tokenizer.encode(text);
  const starts = facts.tokenizer.partStarts(encoding);
  const places = toUtf16Offsets(text, wordPlaces(text, encoding, starts));
  return inWindows(facts, encoding, starts, places, Array.from(starts.keys()));
}

/**
 * The same for a text that was split into words before: `words` joined with a space between two.
 *
 * A part belongs to the word in which its first character is; the first one of a word speaks for it.
 *
 * @param {ModelFacts} facts
 * @param {string[]} words
 * @returns {WordFeatures}
 */
export function encodeSplitWords(facts, words) {
  const text = words.join(" ");
  const encoding = facts.tokenizer.encode(text);
  const starts = facts.tokenizer.partStarts(encoding);
  const at = toUtf16Offsets(text, starts.map((place) => encoding.offsets[place]));
  /** @type {[number, number][]} */
  const places = [];
  let begin = 0;
  for (const word of words) {
    places.push([begin, begin + word.length]);
    begin += word.length + 1;
  }
  let word = 0;
  const owners = at.map(([start]) => {
    while (word + 1 < places.length && places[word + 1][0] <= start) word++;
    return word;
  });
  return inWindows(facts, encoding, starts, places, owners);
}

/**
 * @param {ModelFacts} facts
 * @param {Encoding} encoding - Of the whole text.
 * @param {number[]} starts - Where its parts start.
 * @param {[number, number][]} places - Of the words.
 * @param {number[]} owners - The word of each part.
 * @returns {WordFeatures}
 */
function inWindows(facts, encoding, starts, places, owners) {
  /** @type {WordFeatures} */
  const features = { windows: [], places, parts: [] };
  let part = 0;
  for (const { begin, end, high } of windowsOf(facts, encoding.tokenIds.length)) {
    const whole = end - begin === encoding.tokenIds.length - 2;
    features.windows.push(whole ? encoding : partOf(encoding, begin - 1, end - 1));
    /** @type {{tokens: number[], words: number[]}} */
    const parts = { tokens: [], words: [] };
    for (; part < starts.length && starts[part] < high; part++) {
      if (part > 0 && owners[part] === owners[part - 1]) continue;
      parts.tokens.push(starts[part] - (begin - 1));
      parts.words.push(owners[part]);
    }
    features.parts.push(parts);
  }
  return features;
}

/**
 * Where words are, in code points; marks right behind a word belong to it.
 *
 * @param {string} text
 * @param {Encoding} encoding
 * @param {number[]} starts
 * @returns {[number, number][]}
 */
function wordPlaces(text, { tokenIds, offsets }, starts) {
  const codes = codePoints(text);
  return starts.map((place, number) => {
    const next = number + 1 < starts.length ? starts[number + 1] : tokenIds.length - 1;
    let last = next - 1;
    while (offsets[last][0] === offsets[last][1]) last--; // a space alone
    let end = offsets[last][1];
    while (end < codes.length && flags[codes[end]] & MARK) end++;
    return [offsets[place][0], end];
  });
}

/**
 * Of each window the tokens from and to which it reaches, and the one where the next is read.
 *
 * @param {ModelFacts} facts
 * @param {number} tokens - Of the whole text, [CLS] and [SEP] counted.
 */
function windowsOf({ maxLength, decoding }, tokens) {
  const last = tokens - 1;
  if (tokens <= maxLength) return [{ begin: 1, end: last, high: last }];
  if (maxLength < SHORTEST) {
    throw new ModelError(
      `Expected a model of at least ${SHORTEST} tokens. Received: one of ${maxLength}. Next: ` +
        "export it with longer --lengths.",
    );
  }
  const room = maxLength - 2;
  const overlap = Math.floor(room * (decoding.window_overlap ?? DEFAULT_OVERLAP));
  const begins = [1];
  while (begins[begins.length - 1] + room < last) {
    begins.push(begins[begins.length - 1] + room - overlap);
  }
  return begins.map((begin, number) => ({
    begin,
    end: Math.min(begin + room, last),
    high: number + 1 < begins.length ? begins[number + 1] + Math.floor(overlap / 2) : last,
  }));
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {WordFeatures} features
 * @param {Rows[]} outputs
 * @returns {{text: string, words: Word[]}}
 */
export function tagWords(facts, [text], { places, parts }, outputs) {
  const words = places.map(([start, end]) => {
    /** @type {Word} */
    const word = { text: text.slice(start, end), tag: null, start, end, score: 0 };
    return word;
  });
  outputs.forEach((output, window) => {
    const logits = asLogits(output, facts);
    parts[window].tokens.forEach((token, number) => {
      const word = words[parts[window].words[number]];
      const shares = softmax(row(logits, token));
      const best = largest(shares);
      word.tag = facts.labels[best];
      word.score = shares[best];
    });
  });
  return { text, words };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {WordFeatures} features
 * @param {Rows[]} outputs
 */
export function findEntities(facts, texts, features, outputs) {
  const { text, words } = tagWords(facts, texts, features, outputs);
  const entities = spans(words.map(({ tag }) => tag ?? OUTSIDE)).map(({ type, start, end }) => {
    const own = words.slice(start, end);
    const [first, last] = [own[0].start, own[own.length - 1].end];
    const score = own.reduce((sum, word) => sum + word.score, 0) / own.length;
    return { text: text.slice(first, last), type, start: first, end: last, score };
  });
  return { text, words, entities };
}

/** @param {string} tag @returns {[string, string]} */
function partsOf(tag) {
  const dash = tag.indexOf("-");
  const type = dash < 0 ? "" : tag.slice(dash + 1);
  return type ? [tag.slice(0, dash), type] : [OUTSIDE, ""];
}

/**
 * The entities of tags, by the numbers of their words; an `I-X` after anything else begins one.
 *
 * @param {string[]} tags - In IOB2, IOBES or BILOU.
 * @returns {Span[]}
 */
function spans(tags) {
  /** @type {Span[]} */
  const found = [];
  let start = 0;
  let type = "";
  [...tags, OUTSIDE].forEach((tag, place) => {
    const [said, next] = partsOf(tag);
    const prefix = Object.hasOwn(AS_IOB2, said) ? AS_IOB2[said] : said;
    if (prefix === "I" && next === type) return;
    if (type) found.push({ type, start, end: place });
    start = place;
    type = next;
  });
  return found;
}
