/** Vectors of texts, and search among them by cosine. */

/** @typedef {import("./tasks.js").ModelFacts} ModelFacts */
/** @typedef {import("./tasks.js").Features} Features */
/** @typedef {import("./numbers.js").Rows} Rows */
/** @typedef {{row: number, cosine: number, text: string}} Hit - `row` counts from 1. */

import { largestPlaces } from "./numbers.js";

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @returns {Features}
 */
export function encodeEach({ tokenizer, maxLength, decoding }, texts) {
  const prompt = decoding.prompt ?? "";
  return { windows: texts.map((text) => tokenizer.encode(prompt + text, maxLength)) };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {Features} features
 * @param {Rows[]} outputs
 */
export function giveVectors(facts, texts, features, outputs) {
  const [text, pair] = texts;
  if (pair === undefined) return { text, embedding: Array.from(outputs[0].values) };
  const [one, other] = outputs.map(({ values }) => unitVector(values));
  return { text, pair, cosine: dot(one, other) };
}

/**
 * The vector with length 1; zeros stay as they are.
 *
 * @param {ArrayLike<number>} values
 * @returns {Float64Array}
 */
export function unitVector(values) {
  const vector = Float64Array.from(values);
  const length = Math.sqrt(dot(vector, vector));
  return length > 0 ? vector.map((value) => value / length) : vector;
}

/** @param {ArrayLike<number>} one @param {ArrayLike<number>} other */
function dot(one, other) {
  let sum = 0;
  for (let place = 0; place < one.length; place++) sum += one[place] * other[place];
  return sum;
}

/** Texts with their vectors. */
export class SearchIndex {
  /**
   * @param {string[]} texts
   * @param {ArrayLike<number>[]} vectors - As the model gives them.
   */
  constructor(texts, vectors) {
    this.texts = texts;
    this.vectors = vectors.map((vector) => Float32Array.from(unitVector(vector)));
  }

  /**
   * The texts nearest to a query, the nearest first; equals in the order of the texts.
   *
   * @param {ArrayLike<number>} vector - Of the query, as the model gives it.
   * @param {number} top - How many texts at most.
   * @returns {Hit[]}
   */
  nearest(vector, top) {
    const query = Float32Array.from(unitVector(vector));
    const cosines = this.vectors.map((each) => Math.fround(dot(query, each)));
    return largestPlaces(cosines, top).map((place) => {
      return { row: place + 1, cosine: cosines[place], text: this.texts[place] };
    });
  }
}
