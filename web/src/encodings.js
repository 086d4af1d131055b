/** Encodings of parts and of pairs, out of those of whole texts. */

/** @typedef {import("./tokenizer.js").Encoding} Encoding */

/**
 * Some tokens of a single text's encoding, framed as the whole is.
 *
 * @param {Encoding} encoding
 * @param {number} start - The first of them; 0 is the token after [CLS].
 * @param {number} stop - The one after the last.
 * @returns {Encoding}
 */
export function partOf({ tokenIds, segmentIds, offsets }, start, stop) {
  const last = tokenIds.length - 1;
  const places = [0];
  for (let place = Math.min(1 + start, last); place < Math.min(1 + stop, last); place++) {
    places.push(place);
  }
  places.push(last);
  return {
    tokenIds: Int32Array.from(places, (place) => tokenIds[place]),
    segmentIds: Int32Array.from(places, (place) => segmentIds[place]),
    offsets: places.map((place) => offsets[place]),
  };
}

/**
 * The encoding of a pair: `[CLS] A [SEP] B [SEP]`, with more [SEP] between if the vocabulary has it so.
 *
 * @param {Encoding} first
 * @param {Encoding} second
 * @param {{pairSeparators: number, secondSegment: number}} frame
 * @returns {Encoding}
 */
export function joined(first, second, { pairSeparators, secondSegment }) {
  const last = first.tokenIds[first.tokenIds.length - 1];
  const more = new Array(pairSeparators - 1).fill(last);
  const tokenIds = Int32Array.from([...first.tokenIds, ...more, ...second.tokenIds.subarray(1)]);
  const segmentIds = new Int32Array(tokenIds.length);
  segmentIds.fill(secondSegment, first.tokenIds.length + more.length);
  /** @type {[number, number][]} */
  const between = more.map(() => [0, 0]);
  return { tokenIds, segmentIds, offsets: [...first.offsets, ...between, ...second.offsets.slice(1)] };
}

/**
 * How windows are laid over tokens: `[start, stop)` of each; one where there are no tokens.
 *
 * @param {number} tokens
 * @param {number} room - Tokens of a window.
 * @param {number} step - From one window's start to the next one's.
 * @returns {[number, number][]}
 */
export function windowsOver(tokens, room, step) {
  /** @type {[number, number][]} */
  const windows = [];
  let start = 0;
  for (; start + room < tokens; start += step) windows.push([start, start + room]);
  windows.push([start, tokens]);
  return windows;
}
