/** The part of a context that answers a question, out of windows over the context. */

import { joined, partOf, windowsOver } from "./encodings.js";
import { ModelError } from "./errors.js";
import { largestPlaces, softmax } from "./numbers.js";
import { toUtf16Offsets } from "./tokenizer.js";

/** @typedef {import("./tasks.js").ModelFacts} ModelFacts */
/** @typedef {import("./tokenizer.js").Encoding} Encoding */
/** @typedef {import("./numbers.js").Rows} Rows */
/** @typedef {{start: number, end: number, score: number}} Span */
/**
 * @typedef {object} SpanFeatures
 * @property {Encoding[]} windows
 * @property {number} contextColumn - Where each window's context begins; it ends before [SEP].
 */

const DEFAULTS = {
  stride: 128,
  max_answer_tokens: 30,
  max_question_tokens: 64,
  n_best: 20,
  null_threshold: null,
};
/** A token of the question and one of the context. */
const FEWEST_TOKENS = 2;

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts - A question and its context.
 * @returns {SpanFeatures}
 */
export function encodeQuestion({ tokenizer, maxLength, decoding }, [question, context]) {
  const framing = 2 + tokenizer.pairSeparators;
  if (maxLength < framing + FEWEST_TOKENS) {
    throw new ModelError(
      `Expected a model of at least ${framing + FEWEST_TOKENS} tokens. Received: one of ${maxLength}. Next: ` +
        "export it with longer --lengths.",
    );
  }
  const { stride, max_question_tokens: most } = { ...DEFAULTS, ...decoding };
  const longest = Math.min(most, Math.floor((maxLength - framing) / 2));
  const first = partOf(tokenizer.encode(question), 0, longest);
  const second = tokenizer.encode(context);
  const room = maxLength - (first.tokenIds.length - 2) - framing;
  const places = windowsOver(second.tokenIds.length - 2, room, Math.min(stride, room));
  return {
    windows: places.map(([start, stop]) => joined(first, partOf(second, start, stop), tokenizer)),
    contextColumn: first.tokenIds.length + tokenizer.pairSeparators - 1,
  };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {SpanFeatures} features
 * @param {Rows[]} outputs - Start and end logits of each window, `[tokens, 2]`.
 */
export function answerQuestion({ decoding }, [question, context], features, outputs) {
  const rules = { ...DEFAULTS, ...decoding };
  const { best, noAnswer } = bestSpans(features, outputs, rules);
  const listed = withNoAnswer(best, noAnswer, rules.null_threshold);
  const scores = softmax(listed.map((span) => span.score));
  const places = toUtf16Offsets(context, listed.map(({ start, end }) => [start, end]));
  return {
    text: question,
    answers: places.map(([start, end], number) => {
      return { text: context.slice(start, end), start, end, score: scores[number] };
    }),
  };
}

/**
 * The best spans of all windows, and the smallest score that [CLS] has in one.
 *
 * @param {SpanFeatures} features
 * @param {Rows[]} outputs
 * @param {typeof DEFAULTS} rules
 */
function bestSpans({ windows, contextColumn }, outputs, rules) {
  /** @type {Map<string, Span>} */
  const found = new Map();
  let noAnswer = Infinity;
  windows.forEach(({ offsets }, window) => {
    const { values } = outputs[window];
    noAnswer = Math.min(noAnswer, values[0] + values[1]);
    for (const [first, last, score] of bestPairs(values, contextColumn, offsets, rules)) {
      const [start, end] = [offsets[first][0], offsets[last][1]];
      const key = `${start} ${end}`;
      const known = found.get(key);
      if (!known || score > known.score) found.set(key, { start, end, score });
    }
  });
  const best = [...found.values()].sort(
    (a, b) => b.score - a.score || a.start - b.start || a.end - b.end,
  );
  return { best: best.slice(0, rules.n_best), noAnswer };
}

/**
 * The best first and last tokens of a window with their scores.
 *
 * @param {ArrayLike<number>} values - Start and end logits in turn.
 * @param {number} begin - Where the context begins.
 * @param {[number, number][]} offsets - Of the tokens; the context ends before the last one.
 * @param {typeof DEFAULTS} rules
 * @returns {[number, number, number][]}
 */
function bestPairs(values, begin, offsets, { max_answer_tokens: most, n_best: count }) {
  const stop = offsets.length - 1;
  const width = Math.min(most, stop - begin);
  const scores = new Float64Array(Math.max(0, (stop - begin) * width)).fill(-Infinity);
  for (let first = begin; first < stop; first++) {
    const ends = Math.min(first + width, stop);
    const at = (first - begin) * width - first;
    for (let last = first; last < ends; last++) {
      if (offsets[last][0] === offsets[last][1]) continue; // no answer ends in a space
      scores[at + last] = values[2 * first] + values[2 * last + 1];
    }
  }
  return largestPlaces(scores, count)
    .filter((place) => Number.isFinite(scores[place]))
    .map((place) => {
      const first = Math.floor(place / width);
      return [begin + first, begin + first + (place % width), scores[place]];
    });
}

/**
 * @param {Span[]} best
 * @param {number} noAnswer
 * @param {number | null} threshold
 * @returns {Span[]}
 */
function withNoAnswer(best, noAnswer, threshold) {
  const none = { start: 0, end: 0, score: noAnswer };
  if (best.length === 0) return [none];
  if (threshold === null) return best;
  if (noAnswer - best[0].score > threshold) return [none, ...best];
  const better = best.filter((span) => span.score >= noAnswer).length;
  const place = Math.max(1, better);
  return [...best.slice(0, place), none, ...best.slice(place)];
}
