/** What differs from task to task: how texts become encodings, and outputs answers. */

import { ModelError, UsageError } from "./errors.js";
import { encodeMasks, fillMasks } from "./masks.js";
import { answerQuestion, encodeQuestion } from "./spans.js";
import { classify, encodeTexts, giveLabels, giveScore } from "./text_tasks.js";
import { createTokenizer } from "./tokenizer.js";
import { encodeEach, giveVectors } from "./vectors.js";
import { encodeSplitWords, encodeWords, findEntities, tagWords } from "./words.js";

/**
 * What encoding and decoding need to know of a model.
 *
 * @typedef {object} ModelFacts
 * @property {string} task
 * @property {string[]} labels
 * @property {Record<string, any>} decoding
 * @property {string} output
 * @property {number} maxLength - The longest encoding in tokens.
 * @property {string[]} tokens
 * @property {string} maskToken
 * @property {import("./tokenizer.js").Tokenizer} tokenizer
 *
 * @typedef {{windows: import("./tokenizer.js").Encoding[]}} Features - What the model reads: one
 *   encoding, or several where a text is cut into windows or where there are several texts.
 *
 * @typedef {object} Task
 * @property {(facts: ModelFacts, texts: string[]) => any} encode - Gives the features.
 * @property {(facts: ModelFacts, texts: string[], features: any,
 *   outputs: import("./numbers.js").Rows[]) => any} decode
 * @property {(facts: ModelFacts) => [number, number]} texts - Fewest and most texts of a question.
 * @property {string} wants - Which texts, in words.
 */

/** @returns {[number, number]} */
const oneText = () => [1, 1];
/** @returns {[number, number]} */
const twoTexts = () => [2, 2];
/** @returns {[number, number]} */
const oneOrTwo = () => [1, 2];

/** @type {Record<string, Task>} */
const TASKS = {
  classification: {
    encode: encodeTexts,
    decode: classify,
    texts: oneOrTwo,
    wants: "a text or two texts",
  },
  pairs: { encode: encodeTexts, decode: classify, texts: twoTexts, wants: "two texts" },
  "multi-label": {
    encode: encodeTexts,
    decode: giveLabels,
    texts: oneOrTwo,
    wants: "a text or two texts",
  },
  regression: {
    encode: encodeTexts,
    decode: giveScore,
    texts: ({ decoding }) => (decoding.texts === 2 ? [2, 2] : [1, 2]),
    wants: "a text, or two texts of a model of pairs",
  },
  ner: { encode: encodeWords, decode: findEntities, texts: oneText, wants: "one text" },
  pos: { encode: encodeWords, decode: tagWords, texts: oneText, wants: "one text" },
  qa: {
    encode: encodeQuestion,
    decode: answerQuestion,
    texts: twoTexts,
    wants: "a question and its context",
  },
  embeddings: {
    encode: encodeEach,
    decode: giveVectors,
    texts: oneOrTwo,
    wants: "a text or two texts",
  },
  "masked-lm": {
    encode: encodeMasks,
    decode: fillMasks,
    texts: oneText,
    wants: "one text with [MASK] in it",
  },
};

/**
 * Facts of a model file.
 *
 * @param {import("./model_file.js").ModelFile} file
 * @returns {ModelFacts}
 * @throws {ModelError} Its vocabulary and its rules don't agree, or a rule is not known.
 */
export function factsOf({ manifest, tokens, model = null }) {
  const segments = manifest.config.num_segments > 1;
  const { tokenizer: settings } = manifest;
  return {
    task: manifest.task,
    labels: manifest.labels,
    decoding: manifest.decoding,
    output: manifest.output,
    maxLength: manifest.max_length,
    tokens,
    maskToken: settings.mask_token,
    tokenizer: tokenizerOf(settings, tokens, segments, model),
  };
}

/** @param {Parameters<typeof createTokenizer>} parts */
function tokenizerOf(...parts) {
  try {
    return createTokenizer(...parts);
  } catch (error) {
    throw new ModelError(
      `Expected a vocabulary with its rules. ${error instanceof Error ? error.message : error} Next: ` +
        "use a newer version of this library, or export the model again.",
      { cause: error },
    );
  }
}

/**
 * How many texts a question to the model has: the fewest and the most.
 *
 * @param {ModelFacts} facts
 */
export function textsOf(facts) {
  return TASKS[facts.task].texts(facts);
}

/**
 * What the model reads for a question.
 *
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @returns {Features}
 * @throws {UsageError} Not as many texts as the task wants, or no texts at all.
 */
export function encode(facts, texts) {
  const { encode: encodeTask, wants } = TASKS[facts.task];
  const [fewest, most] = textsOf(facts);
  const wrong = texts.find((text) => typeof text !== "string");
  if (texts.length < fewest || texts.length > most || wrong !== undefined) {
    throw new UsageError(
      `Expected ${wants} for a model of ${facts.task}. Received: ` +
        `${wrong === undefined ? `${texts.length} texts` : `a ${typeof wrong}`}.`,
    );
  }
  return encodeTask(facts, texts);
}

/**
 * What a model of tags reads for a text that was split into words before.
 *
 * @param {ModelFacts} facts
 * @param {string[]} words
 * @returns {Features}
 * @throws {UsageError} It is no model of tags.
 */
export function encodeWordList(facts, words) {
  if (facts.task !== "ner" && facts.task !== "pos") {
    throw new UsageError(
      `Expected a model of ner or pos, which tags words. Received: one of ${facts.task}. Next: ` +
        "give texts.",
    );
  }
  return encodeSplitWords(facts, words);
}

/**
 * The answer to a question.
 *
 * @param {ModelFacts} facts
 * @param {string[]} texts - As `encode` took them.
 * @param {Features} features - As `encode` gave them.
 * @param {import("./numbers.js").Rows[]} outputs - What the file gave for each of the windows.
 */
export function decode(facts, texts, features, outputs) {
  return TASKS[facts.task].decode(facts, texts, features, outputs);
}
