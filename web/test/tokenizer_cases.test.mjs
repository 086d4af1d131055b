// The golden cases of tokenizers: the same ids, segment ids and offsets as in Python.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { createTokenizer } from "../src/tokenizer.js";

const golden = (name) => {
  return JSON.parse(readFileSync(new URL(`../../tests/golden/${name}`, import.meta.url), "utf-8"));
};

function tokenizerOf({ settings, tokens, scores, charsmap }) {
  if (!scores) return createTokenizer(settings, tokens);
  const map = charsmap ? Uint8Array.from(Buffer.from(charsmap, "base64")) : null;
  return createTokenizer(settings, tokens, true, { scores: Float64Array.from(scores), charsmap: map });
}

for (const name of ["wordpiece_cases.json", "unigram_cases.json"]) {
  const { vocabularies, cases } = golden(name);
  const tokenizers = Object.fromEntries(
    Object.entries(vocabularies).map(([key, vocabulary]) => [key, tokenizerOf(vocabulary)]),
  );
  test(`${name}: ${cases.length} cases`, () => {
    assert.ok(cases.length > 300);
    for (const { vocabulary, name: what, text, pair, max_length, ...expected } of cases) {
      const { tokenIds, segmentIds, offsets } = tokenizers[vocabulary].encode(text, max_length, pair);
      const received = { token_ids: [...tokenIds], segment_ids: [...segmentIds], offsets };
      assert.deepEqual(received, expected, `${vocabulary}: ${what}`);
    }
  });
}
