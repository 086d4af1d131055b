/** Tokens for each [MASK] of a text. */

import { row, softmax, largestPlaces } from "./numbers.js";

/** @typedef {import("./tasks.js").ModelFacts} ModelFacts */
/** @typedef {import("./tokenizer.js").Encoding} Encoding */
/** @typedef {import("./numbers.js").Rows} Rows */
/** @typedef {{token: string, probability: number}} Choice */
/** @typedef {{start: number, end: number, tokens: Choice[]}} Mask */

/** What somebody types, whatever the vocabulary calls it. */
export const MASK = "[MASK]";
const KEPT_TOKENS = 10;
const DEFAULT_MASKS = 8;
const CONTINUES = "##";

/**
 * One encoding; none where no [MASK] is among the tokens that are read.
 *
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @returns {{windows: Encoding[], count: number}}
 */
export function encodeMasks({ tokenizer, maxLength, maskToken, tokens, decoding }, [text]) {
  const encoding = tokenizer.encode(text.replaceAll(MASK, () => maskToken), maxLength);
  const maskId = tokens.indexOf(maskToken);
  const found = encoding.tokenIds.filter((id) => id === maskId).length;
  const count = Math.min(found, decoding.masks ?? DEFAULT_MASKS);
  return { windows: count ? [encoding] : [], count };
}

/**
 * @param {ModelFacts} facts
 * @param {string[]} texts
 * @param {{count: number}} features
 * @param {Rows[]} outputs
 */
export function fillMasks({ tokenizer, maskToken, tokens }, [text], { count }, [output]) {
  const masks = masksIn(text, [MASK, maskToken]);
  masks.slice(0, count).forEach((mask, number) => {
    const shares = softmax(row(output, number));
    mask.tokens = largestPlaces(shares, KEPT_TOKENS).map((id) => {
      return { token: tokens[id], probability: shares[id] };
    });
  });
  return { text, filled: filled(text, masks, tokenizer.space), masks };
}

/**
 * @param {string} text
 * @param {string[]} names - Of the mask.
 * @returns {Mask[]}
 */
function masksIn(text, names) {
  const escaped = names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"));
  return Array.from(text.matchAll(new RegExp(escaped.join("|"), "g")), (match) => {
    return { start: match.index, end: match.index + match[0].length, tokens: [] };
  });
}

/**
 * The text with the likeliest tokens in it; a piece of a word joins what stands before it.
 *
 * @param {string} text
 * @param {Mask[]} masks
 * @param {string} space - That words begin with; where it is empty, pieces in words begin with ##.
 */
function filled(text, masks, space) {
  for (const { start, end, tokens } of [...masks].reverse()) {
    if (tokens.length === 0) continue;
    let [{ token }] = tokens;
    let before = text.slice(0, start);
    if (space ? !token.startsWith(space) : token.startsWith(CONTINUES) && token.length > CONTINUES.length) {
      token = token.slice(space ? 0 : CONTINUES.length);
      before = before.trimEnd();
    }
    text = before + (token.startsWith(space) ? token.slice(space.length) : token) + text.slice(end);
  }
  return text;
}
