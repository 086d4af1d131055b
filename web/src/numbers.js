/** Shares, and the largest of several numbers, in 64 bits; of equals the first one is first. */

const SMALLEST_PROBABILITY = 1e-38;

/**
 * Numbers in rows: what a model gives for one encoding, padding taken off.
 *
 * @typedef {object} Rows
 * @property {Float32Array | Float64Array} values - Row by row.
 * @property {number} width - Numbers of a row.
 */

/**
 * What the head gives, out of what the file gives: probabilities become logits.
 *
 * @param {Rows} rows
 * @param {{task: string, output: string}} facts
 * @returns {Rows}
 */
export function asLogits({ values, width }, { task, output }) {
  if (output !== "probabilities") return { values, width };
  const log = (/** @type {number} */ share) => Math.log(Math.max(share, SMALLEST_PROBABILITY));
  const logit =
    task === "multi-label"
      ? (/** @type {number} */ share) => log(share) - log(1 - share)
      : log;
  return { values: Float64Array.from(values, logit), width };
}

/**
 * @param {Rows} rows
 * @param {number} number - Of the row.
 */
export function row({ values, width }, number) {
  return values.subarray(number * width, (number + 1) * width);
}

/**
 * @param {ArrayLike<number>} logits
 * @returns {Float64Array}
 */
export function softmax(logits) {
  let largest = -Infinity;
  for (let place = 0; place < logits.length; place++) largest = Math.max(largest, logits[place]);
  const powers = new Float64Array(logits.length);
  let sum = 0;
  for (let place = 0; place < logits.length; place++) {
    powers[place] = Math.exp(logits[place] - largest);
    sum += powers[place];
  }
  return powers.map((power) => power / sum);
}

/**
 * @param {ArrayLike<number>} logits
 * @returns {Float64Array}
 */
export function sigmoid(logits) {
  return Float64Array.from(logits, (logit) => 1 / (1 + Math.exp(-logit)));
}

/**
 * The place of the largest number.
 *
 * @param {ArrayLike<number>} values
 */
export function largest(values) {
  let best = 0;
  for (let place = 1; place < values.length; place++) {
    if (values[place] > values[best]) best = place;
  }
  return best;
}

/**
 * The places of the largest numbers, the largest first.
 *
 * @param {ArrayLike<number>} values
 * @param {number} count - So many at most.
 * @returns {number[]}
 */
export function largestPlaces(values, count) {
  /** @type {number[]} */
  const best = [];
  for (let place = 0; place < values.length; place++) {
    const value = values[place];
    if (best.length === count && !(value > values[best[count - 1]])) continue;
    let at = best.length;
    while (at > 0 && value > values[best[at - 1]]) at--;
    best.splice(at, 0, place);
    if (best.length > count) best.pop();
  }
  return best;
}
