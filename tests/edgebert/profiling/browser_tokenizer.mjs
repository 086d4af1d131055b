// Answers test_browser_tokenizer.py: a line of JSON in, a line of JSON out.
//
//   {"settings", "tokens"}            makes the tokenizer that the next requests are for; one of Unigram
//                                     has "scores" and "charsmap" (Base64), too
//   {"inputs": [[text, max, pair]]}   -> {"encodings": [...]}
//   {"texts", "rules"}                -> {"digests": [...]}, of what the text rules make of each
//   {"texts"}                         -> {"digests": [...]}, of each encoding

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

const folder = new URL("../../../web/src/", import.meta.url);
const { createTokenizer, toUtf16Offsets } = await import(new URL("tokenizer.js", folder));
const { codePoints, normalize } = await import(new URL("normalization.js", folder));

let tokenizer;

function encoding([text, maxLength, pair]) {
  const { tokenIds, segmentIds, offsets } = tokenizer.encode(text, maxLength ?? undefined, pair);
  const utf16_offsets = pair === null ? toUtf16Offsets(text, offsets) : null;
  return { token_ids: [...tokenIds], segment_ids: [...segmentIds], offsets, utf16_offsets };
}

function digest(content) {
  return createHash("sha256").update(content).digest("hex");
}

function encodingDigest(text) {
  const { tokenIds, segmentIds, offsets } = tokenizer.encode(text);
  return digest(JSON.stringify([[...tokenIds], [...segmentIds], offsets]));
}

function normalDigest(text, rules) {
  const codes = codePoints(text);
  const normal = normalize(codes, 0, codes.length, rules).codes;
  return digest(normal.map((code) => String.fromCodePoint(code)).join(""));
}

function modelOf({ scores, charsmap }) {
  if (!scores) return null;
  const map = charsmap ? new Uint8Array(Buffer.from(charsmap, "base64")) : null;
  return { scores: Float64Array.from(scores), charsmap: map };
}

function answer({ settings, tokens, inputs, texts, rules, ...pieces }) {
  if (settings) tokenizer = createTokenizer(settings, tokens, true, modelOf(pieces));
  if (inputs) return { encodings: inputs.map(encoding) };
  if (rules) return { digests: texts.map((text) => normalDigest(text, rules)) };
  if (texts) return { digests: texts.map(encodingDigest) };
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = answer(JSON.parse(line));
  } catch (error) {
    result = { error: `${error.name}: ${error.message}` };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
