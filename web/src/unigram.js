/**
 * Unigram (Kudo 2018, "Subword Regularization"): the pieces with the largest sum of scores.
 *
 * White space is a character of the pieces, the metaspace. All is done as the `tokenizers` library does
 * it, so that ids and places are the same.
 */

import { CharacterMap } from "./character_map.js";
import { CHINESE, codePoints, flags, PUNCTUATION, SPACE } from "./normalization.js";
import { NO_PIECE, PieceTable } from "./pieces.js";
import { WholeTokens } from "./whole_tokens.js";

/** @typedef {import("./normalization.js").PlacedCodes} PlacedCodes */
/** @typedef {import("./tokens.js").Tokens} Tokens */

/**
 * @typedef {{type: "precompiled"} | {type: "replace_spaces", content: string} |
 *   {type: "strip", left: boolean, right: boolean}} TextRule
 *
 * @typedef {object} UnigramRules
 * @property {"unigram"} kind
 * @property {TextRule[]} normalizers - In the order of their use.
 * @property {boolean} whitespace_split
 * @property {{replacement: string, prepend_scheme: "always" | "first" | "never", split: boolean}}
 *   metaspace
 * @property {number} pair_separators
 * @property {number} second_segment
 *
 * @typedef {UnigramRules & import("./whole_tokens.js").SpecialSettings} UnigramSettings -
 *   `tokenizer` of a file's manifest.
 *
 * @typedef {object} UnigramModel - What the file has beside its tokens.
 * @property {Float64Array} scores - Of the first tokens, which are the pieces; all others are added
 *   tokens.
 * @property {Uint8Array | null} charsmap
 */

const BLANK = 0x20;
const UNKNOWN_PENALTY = 10;

/** Splits texts into the tokens of a Unigram vocabulary. */
export class Unigram {
  /**
   * @param {UnigramSettings} settings
   * @param {string[]} tokens
   * @param {UnigramModel} model
   */
  constructor(settings, tokens, { scores, charsmap }) {
    this.pairSeparators = settings.pair_separators;
    this.secondSegment = settings.second_segment;
    this.tokens = tokens;
    this.scores = scores;
    this.unknownId = tokens.indexOf(settings.unknown_token);
    this.unknownScore = scores.reduce((least, score) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
    this.splitsAtSpace = settings.whitespace_split;
    this.metaspace = settings.metaspace;
    this.space = settings.metaspace.replacement;
    this.mark = /** @type {number} */ (settings.metaspace.replacement.codePointAt(0));
    const map = charsmap && new CharacterMap(charsmap);
    this.rules = settings.normalizers.map((rule) => ruleOf(rule, map));
    this.pieces = new PieceTable(tokens, scores.length);
    this.path = new BestPath(64);
    this.wholeTokens = new WholeTokens(settings, tokens, {
      normalize: (codes, start, end) => this.normalize(codes, start, end),
      split: (text, start, end, found) => this.splitText(text, start, end, found),
    });
  }

  /**
   * Splits a text into tokens; places are without the white space around them.
   *
   * @param {string} text
   */
  split(text) {
    const codes = codePoints(text);
    const found = this.wholeTokens.split(codes);
    for (let token = 0; token < found.length; token++) {
      const place = found.offsets[token];
      let [start, end] = place;
      while (start < end && flags[codes[start]] & SPACE) start++;
      if (this.tokens[found.ids[token]] === this.space) end = start; // nothing of the text
      else if (start === end) continue; // white space only
      while (end > start && flags[codes[end - 1]] & SPACE) end--;
      place[0] = start;
      place[1] = end;
    }
    return found;
  }

  /**
   * The places of the tokens that start a part of a text: a word, a punctuation mark or the like.
   *
   * @param {ArrayLike<number>} tokenIds
   * @param {[number, number][]} offsets
   */
  partStarts(tokenIds, offsets) {
    const starts = [];
    let isBehindEnd = true;
    for (let place = 0; place < offsets.length; place++) {
      const [start, end] = offsets[place];
      const { begins, ends } = this.edges(tokenIds[place]);
      if (start < end && (begins || isBehindEnd)) starts.push(place);
      isBehindEnd = ends;
    }
    return starts;
  }

  /** Whether a part starts at a token, and whether one starts behind it. */
  /** @param {number} id */
  edges(id) {
    if (id === this.unknownId) return { begins: false, ends: false };
    const { replacement } = this.metaspace;
    const token = this.tokens[id];
    const isWhole = this.wholeTokens.byId.has(id);
    const isMarked = token.startsWith(replacement);
    const codes = codePoints(token);
    const body = isMarked ? codes[1] : codes[0];
    const last = codes[codes.length - 1];
    return {
      begins: isMarked || isWhole || (body !== undefined && isSingle(body)),
      ends: isWhole || last === this.mark || isSingle(last),
    };
  }

  /** @param {number[]} codes @param {number} start @param {number} end */
  normalize(codes, start, end) {
    /** @type {PlacedCodes} */
    let text = { codes: codes.slice(start, end), places: [] };
    for (let place = start; place < end; place++) text.places.push(place);
    for (const rule of this.rules) text = rule(text);
    return text;
  }

  /** Splits at white space, if so set. */
  /** @param {PlacedCodes} text @param {number} start @param {number} end @param {Tokens} found */
  splitText(text, start, end, found) {
    if (!this.splitsAtSpace) return this.splitWord(text, start, end, found);
    let place = start;
    while (place < end) {
      const first = place;
      while (place < end && !(flags[text.codes[place]] & SPACE)) place++;
      if (first < place) this.splitWord(text, first, place, found);
      place++;
    }
  }

  /** Puts metaspaces in, and splits before each, if so set. */
  /** @param {PlacedCodes} text @param {number} start @param {number} end @param {Tokens} found */
  splitWord({ codes, places }, start, end, found) {
    const { mark } = this;
    /** @type {PlacedCodes} */
    const marked = { codes: [], places: [] };
    const first = codes[start] === BLANK ? mark : codes[start];
    if (first !== mark && this.isPrepended(places[start])) {
      marked.codes.push(mark);
      marked.places.push(places[start]);
    }
    for (let place = start; place < end; place++) {
      marked.codes.push(codes[place] === BLANK ? mark : codes[place]);
      marked.places.push(places[place]);
    }
    const { length } = marked.codes;
    let begin = 0;
    for (let place = 1; this.metaspace.split && place < length; place++) {
      if (marked.codes[place] !== mark) continue;
      this.addBest(marked, begin, place, found);
      begin = place;
    }
    this.addBest(marked, begin, length, found);
  }

  /** Whether a metaspace goes before a text that starts at a place. */
  /** @param {number} place */
  isPrepended(place) {
    const { prepend_scheme: scheme } = this.metaspace;
    return scheme === "always" || (scheme === "first" && place === 0);
  }

  /** Adds the pieces with the largest sum of scores; unknown ones that meet are one. */
  /** @param {PlacedCodes} text @param {number} start @param {number} end @param {Tokens} found */
  addBest({ codes, places }, start, end, found) {
    const ends = this.findBest(codes, start, end);
    const { unknownId } = this;
    let first = start;
    for (let index = ends.length - 1; index >= 0; index--) {
      let id = this.path.ids[ends[index] - start];
      let last = ends[index];
      if (id === unknownId) {
        while (index > 0 && this.path.ids[ends[index - 1] - start] === unknownId) last = ends[--index];
        id = this.idOf(codes, first, last);
      }
      found.add(id, places[first], places[last - 1] + 1);
      first = last;
    }
  }

  /** Finds the best path (Viterbi); gives the ends of its pieces, the last one first. */
  /** @param {number[]} codes @param {number} start @param {number} end */
  findBest(codes, start, end) {
    const { pieces, scores, unknownId, unknownScore } = this;
    const length = end - start;
    if (this.path.room < length) this.path = new BestPath(2 * length);
    const path = this.path;
    path.clear(length);
    for (let place = start; place < end; place++) {
      const before = path.scores[place - start];
      const stop = Math.min(end, place + pieces.longest);
      let hash = 0;
      let isKnown = false;
      for (let next = place; next < stop; next++) {
        hash = PieceTable.hash(hash, codes[next]);
        if (!pieces.mayBegin(hash)) break;
        const id = pieces.find(hash, codes, place, next + 1);
        if (id === NO_PIECE) continue;
        path.offer(place - start, next + 1 - start, id, scores[id] + before);
        if (next === place) isKnown = true;
      }
      if (!isKnown) path.offer(place - start, place + 1 - start, unknownId, unknownScore + before);
    }
    const ends = [];
    for (let place = length; place > 0; place = path.starts[place]) ends.push(start + place);
    return ends;
  }

  /** The id of what is unknown: as in the library, all of it may be a piece after all. */
  /** @param {number[]} codes @param {number} start @param {number} end */
  idOf(codes, start, end) {
    let hash = 0;
    for (let place = start; place < end; place++) hash = PieceTable.hash(hash, codes[place]);
    const id = this.pieces.find(hash, codes, start, end);
    return id === NO_PIECE ? this.unknownId : id;
  }
}

/** For each place of a text the piece that ends there on the best path to it. */
class BestPath {
  /** @param {number} room - Places but the first. */
  constructor(room) {
    this.room = room;
    this.scores = new Float64Array(room + 1);
    this.starts = new Int32Array(room + 1);
    this.ids = new Int32Array(room + 1);
  }

  /** @param {number} length */
  clear(length) {
    this.starts.fill(-1, 0, length + 1);
    this.scores[0] = 0;
  }

  /** @param {number} start @param {number} end @param {number} id @param {number} score */
  offer(start, end, id, score) {
    if (this.starts[end] >= 0 && !(score > this.scores[end])) return;
    this.starts[end] = start;
    this.scores[end] = score;
    this.ids[end] = id;
  }
}

/** Whether a character is a word of its own. */
/** @param {number} code */
function isSingle(code) {
  return (flags[code] & (PUNCTUATION | CHINESE)) !== 0;
}

/**
 * @param {TextRule} rule
 * @param {CharacterMap | null} map
 * @returns {(text: PlacedCodes) => PlacedCodes}
 */
function ruleOf(rule, map) {
  switch (rule.type) {
    case "precompiled":
      if (map === null) throw new Error("Expected a character map for the rule precompiled. There is none.");
      return (text) => map.apply(text);
    case "replace_spaces": {
      const content = codePoints(rule.content);
      return (text) => withoutRuns(text, content);
    }
    case "strip":
      return (text) => stripped(text, rule.left, rule.right);
    default:
      throw new Error(`Expected a text rule that is known. Received: ${JSON.stringify(rule)}.`);
  }
}

/** Puts something else in place of two or more blanks. */
/** @param {PlacedCodes} text @param {number[]} content */
function withoutRuns({ codes, places }, content) {
  /** @type {PlacedCodes} */
  const result = { codes: [], places: [] };
  let place = 0;
  while (place < codes.length) {
    let end = place + 1;
    if (codes[place] === BLANK) while (end < codes.length && codes[end] === BLANK) end++;
    const isRun = end - place > 1;
    for (const code of isRun ? content : [codes[place]]) {
      result.codes.push(code);
      result.places.push(places[end - 1]);
    }
    place = end;
  }
  return result;
}

/** @param {PlacedCodes} text @param {boolean} left @param {boolean} right */
function stripped({ codes, places }, left, right) {
  let start = 0;
  let end = codes.length;
  while (left && start < end && flags[codes[start]] & SPACE) start++;
  while (right && end > start && flags[codes[end - 1]] & SPACE) end--;
  return { codes: codes.slice(start, end), places: places.slice(start, end) };
}
