// The golden decoding cases: the same windows and answers as edgebert's tasks in Python.
// EDGEBERT_CASES names another file of the same format.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { decode, encode, factsOf } from "../src/tasks.js";
import { SearchIndex } from "../src/vectors.js";

const NEAR = 1e-6;
const GOLDEN = new URL("../../tests/golden/decoding_cases.json", import.meta.url);
const golden = JSON.parse(readFileSync(process.env.EDGEBERT_CASES ?? GOLDEN, "utf-8"));
const models = Object.fromEntries(
  Object.entries(golden.models).map(([name, model]) => {
    const { settings, tokens, scores, charsmap } = golden.vocabularies[model.vocabulary];
    const pieces = scores && { scores: Float64Array.from(scores), charsmap: charsmap || null };
    return [name, factsOf({ manifest: { ...model, tokenizer: settings }, tokens, model: pieces })];
  }),
);

function rows(output) {
  const isTable = Array.isArray(output[0]);
  const width = isTable ? output[0].length : output.length;
  return { values: Float32Array.from(output.flat()), width };
}

function windowsOf({ windows }) {
  return windows.map(({ tokenIds, segmentIds }) => {
    return { token_ids: Array.from(tokenIds), segment_ids: Array.from(segmentIds) };
  });
}

/** Offsets are in UTF-16 code units here, in code points there. */
function inCodePoints(text, place) {
  return Array.from(text.slice(0, place)).length;
}

function assertAlike(given, expected, path, text) {
  if (typeof expected === "number") {
    const place = /\.(start|end)$/.test(path) ? inCodePoints(text, given) : given;
    assert.ok(Math.abs(place - expected) <= NEAR, `${path}: ${place} is not ${expected}`);
  } else if (Array.isArray(expected)) {
    assert.equal(given.length, expected.length, path);
    expected.forEach((item, place) => assertAlike(given[place], item, `${path}[${place}]`, text));
  } else if (typeof expected === "object" && expected !== null) {
    assert.deepEqual(Object.keys(given).sort(), Object.keys(expected).sort(), path);
    for (const [key, value] of Object.entries(expected)) {
      assertAlike(given[key], value, `${path}.${key}`, text);
    }
  } else {
    assert.equal(given, expected, path);
  }
}

for (const { model, name, texts, windows, answer } of golden.cases) {
  test(`${model}: ${name}`, () => {
    const facts = models[model];
    const features = encode(facts, texts);
    const expected = windows.map(({ token_ids, segment_ids }) => ({ token_ids, segment_ids }));
    assert.deepEqual(windowsOf(features), expected);
    const given = decode(facts, texts, features, windows.map(({ output }) => rows(output)));
    assertAlike(given, answer, "answer", texts.at(-1));
  });
}

for (const { model, name, query, lines, top, query_window, line_windows, hits } of golden.searches) {
  test(`search: ${name}`, () => {
    const facts = models[model];
    const read = [...lines, query].map((text) => windowsOf(encode(facts, [text]))[0]);
    const stored = [...line_windows, query_window];
    assert.deepEqual(read, stored.map(({ token_ids, segment_ids }) => ({ token_ids, segment_ids })));
    const index = new SearchIndex(lines, line_windows.map(({ output }) => output));
    assertAlike(index.nearest(query_window.output, top), hits, "hits", query);
  });
}

test("the prompt is put before every text of an embedding model", { skip: Boolean(process.env.EDGEBERT_CASES) }, () => {
  const [name] = Object.entries(golden.models).find(([, { task }]) => task === "embeddings");
  const plain = models[name];
  const prompted = { ...plain, decoding: { prompt: "query: ", prompts: { query: "query: " } } };
  const expected = windowsOf(encode(plain, ["query: play", "query: music"]));
  assert.deepEqual(windowsOf(encode(prompted, ["play", "music"])), expected);
  assert.notDeepEqual(windowsOf(encode(plain, ["play", "music"])), expected);
});
