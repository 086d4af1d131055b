/** Tasks on whole texts: classification, pairs, several labels, a score. */

import { asLogits, largest, sigmoid, softmax } from "./numbers.js";

/** @typedef {import("./tasks.js").ModelFacts} ModelFacts */
/** @typedef {import("./tasks.js").Features} Features */
/** @typedef {import("./numbers.js").Rows} Rows */

const EVEN = 0.5;

/**
 * One encoding of a text, or of a pair; longer ones are cut.
 *
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @returns {Features}
 */
export function encodeTexts({ tokenizer, maxLength }, [text, pair]) {
  return { windows: [tokenizer.encode(text, maxLength, pair ?? null)] };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {Features} features
 * @param {Rows[]} outputs
 */
export function classify(facts, texts, features, [output]) {
  const shares = softmax(asLogits(output, facts).values);
  const best = largest(shares);
  return {
    ...asked(texts),
    label: facts.labels[best],
    probability: shares[best],
    probabilities: byLabel(facts.labels, shares),
  };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {Features} features
 * @param {Rows[]} outputs
 */
export function giveLabels(facts, texts, features, [output]) {
  const shares = sigmoid(asLogits(output, facts).values);
  const threshold = facts.decoding.threshold ?? EVEN;
  const over = Array.from(shares.keys()).filter((place) => shares[place] > threshold);
  over.sort((one, other) => shares[other] - shares[one]);
  return {
    ...asked(texts),
    labels: over.map((place) => facts.labels[place]),
    probabilities: byLabel(facts.labels, shares),
  };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {Features} features
 * @param {Rows[]} outputs
 */
export function giveScore({ decoding }, texts, features, [output]) {
  const { mean = 0, deviation = 1 } = decoding;
  return { ...asked(texts), score: output.values[0] * deviation + mean };
}

/** @param {string[]} texts */
function asked([text, pair]) {
  return pair === undefined ? { text } : { text, pair };
}

/** @param {string[]} labels @param {Float64Array} shares @returns {Record<string, number>} */
function byLabel(labels, shares) {
  return Object.fromEntries(labels.map((label, place) => [label, shares[place]]));
}
