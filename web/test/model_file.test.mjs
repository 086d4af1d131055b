// Files that are no model of edgebert, of a newer format, or cut short: each has a clear error.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ModelError, UsageError } from "../src/errors.js";
import { FORMATS, readModelFile } from "../src/model_file.js";
import { encode, encodeWordList, factsOf } from "../src/tasks.js";

const golden = JSON.parse(
  readFileSync(new URL("../../tests/golden/decoding_cases.json", import.meta.url), "utf-8"),
);

function manifestOf(name, more = {}) {
  const { vocabulary, ...model } = golden.models[name];
  const { settings } = golden.vocabularies[vocabulary];
  return { ...model, tokenizer: settings, vocabulary_sha256: "", ...more };
}

function bytesOf(...parts) {
  return Uint8Array.from(parts.flatMap((part) => Array.from(part)));
}

function numbers(kind, ...values) {
  const bytes = new DataView(new ArrayBuffer(values.length * (kind === "u16" ? 2 : 4)));
  values.forEach((value, place) => {
    if (kind === "u16") bytes.setUint16(2 * place, value, true);
    else bytes.setUint32(4 * place, value, true);
  });
  return new Uint8Array(bytes.buffer);
}

/** The smallest .tflite with one metadata buffer, and a vocabulary in the archive behind it. */
function tflite(manifest, tokens, { name = "EDGEBERT_MANIFEST", method = 0, more = {} } = {}) {
  const text = new TextEncoder();
  const json = text.encode(typeof manifest === "string" ? manifest : JSON.stringify(manifest));
  const key = text.encode(name);
  const pad = (bytes) => bytesOf(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4));
  const table = (...fields) => bytesOf(numbers("u16", 4 + 2 * fields.length, 4 + 4 * fields.length, ...fields));
  // Places from the start of the file; every table has its layout right before it.
  const root = 8 + 20;
  const graph = [numbers("u32", root), text.encode("TFL3")];
  const layout = pad(table(0, 0, 0, 0, 4, 0, 8)); // fields 4 (buffers) and 6 (metadata)
  graph.push(layout);
  const rootTable = 12;
  const buffers = root + rootTable;
  const metadata = buffers + 8;
  const bufferLayout = metadata + 8;
  const bufferTable = bufferLayout + 8;
  const entryLayout = bufferTable + 8;
  const entryTable = entryLayout + 8;
  const keyAt = entryTable + 12;
  const jsonAt = keyAt + 4 + pad(key).length;
  graph.push(numbers("u32", layout.length, buffers - (root + 4), metadata - (root + 8)));
  graph.push(numbers("u32", 1, bufferTable - (buffers + 4)));
  graph.push(numbers("u32", 1, entryTable - (metadata + 4)));
  graph.push(pad(table(4)), numbers("u32", 8, jsonAt - (bufferTable + 4)));
  graph.push(pad(table(4, 8)), numbers("u32", 8, keyAt - (entryTable + 4), 0));
  graph.push(numbers("u32", key.length), pad(key), numbers("u32", json.length), pad(json));
  const body = bytesOf(...graph);
  const files = { "vocab.txt": text.encode(`${tokens.join("\n")}\n`), ...more };
  let local = new Uint8Array(0);
  let directory = new Uint8Array(0);
  for (const [file, content] of Object.entries(files)) {
    const sizes = numbers("u32", 0, content.length, content.length);
    const entry = bytesOf(numbers("u16", 20, 0, method, 0, 0), sizes, numbers("u16", file.length, 0));
    directory = bytesOf(
      directory, numbers("u32", 0x02014b50), numbers("u16", 20), entry, numbers("u16", 0, 0, 0),
      numbers("u32", 0, body.length + local.length), text.encode(file),
    );
    local = bytesOf(local, numbers("u32", 0x04034b50), entry, text.encode(file), content);
  }
  const count = Object.keys(files).length;
  const end = bytesOf(
    numbers("u32", 0x06054b50), numbers("u16", 0, 0, count, count),
    numbers("u32", directory.length, body.length + local.length), numbers("u16", 0),
  );
  return bytesOf(body, local, directory, end);
}

const TOKENS = golden.vocabularies.words.tokens;
const whole = tflite(manifestOf("ner"), TOKENS);

test("a whole file is read", () => {
  const { manifest, tokens } = readModelFile(whole);
  assert.equal(manifest.task, "ner");
  assert.deepEqual(tokens, TOKENS);
  assert.equal(factsOf({ manifest, tokens }).maxLength, manifest.max_length);
});

test("a file that is cut short anywhere has a clear error", () => {
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => readModelFile(whole.slice(0, length)), (error) => {
      return error instanceof ModelError && /Next: /.test(error.message);
    }, `${length} bytes`);
  }
});

test("damaged bytes give an error of ours or a model, never another error", () => {
  let seed = 1;
  const random = (limit) => (seed = (seed * 48271) % 2147483647) % limit;
  for (let round = 0; round < 3000; round++) {
    const damaged = whole.slice();
    for (let count = 1 + random(4); count > 0; count--) damaged[random(damaged.length)] = random(256);
    try {
      readModelFile(damaged);
    } catch (error) {
      assert.ok(error instanceof ModelError, error.stack);
    }
  }
});

const refused = {
  "a newer format": [tflite(manifestOf("ner", { format: 1 + Math.max(...FORMATS) }), TOKENS), /of format 1 or 2\. Received: format 3/],
  "no manifest": [tflite(manifestOf("ner"), TOKENS, { name: "TFLITE_METADATA" }), /without EDGEBERT_MANIFEST/],
  "a compressed vocabulary": [tflite(manifestOf("ner"), TOKENS, { method: 8 }), /whole \.tflite/],
  "a page of a server": [new TextEncoder().encode("<!doctype html><title>404</title>"), /TFL3 at byte 4/],
  "no JSON": [tflite("{", TOKENS), /manifest in JSON/],
  "a list": [tflite([], TOKENS), /of format 1/],
  "an unknown task": [tflite(manifestOf("ner", { task: "__proto__" }), TOKENS), /model of a task/],
  "a bare encoder": [tflite(manifestOf("ner", { task: "encoder" }), TOKENS), /bare encoder/],
  "hidden states": [tflite(manifestOf("ner", { output: "hidden_states" }), TOKENS), /probabilities or logits/],
  "free lengths": [tflite(manifestOf("ner", { lengths: [] }), TOKENS), /--lengths 16,32/],
  "no labels": [tflite(manifestOf("ner", { labels: [] }), TOKENS), /Expected labels/],
  "missing keys": [tflite({ format: 1 }, TOKENS), /no task, labels, output/],
};
for (const [name, [bytes, message]] of Object.entries(refused)) {
  test(`refused: ${name}`, () => {
    assert.throws(() => readModelFile(bytes), { name: "ModelError", message });
  });
}

// A Unigram vocabulary has its scores and its character map in files of the archive.

const unigram = JSON.parse(
  readFileSync(new URL("../../tests/golden/unigram_cases.json", import.meta.url), "utf-8"),
).vocabularies["xlm-roberta"];
const SCORES = new Uint8Array(Float64Array.from(unigram.scores).buffer);
const MAP = new Uint8Array(Buffer.from(unigram.charsmap, "base64"));

function unigramFile({ scores = SCORES, map = MAP, settings = {} } = {}) {
  const tokenizer = { ...unigram.settings, ...settings };
  const more = { ...(scores && { "piece_scores.bin": scores }), ...(map && { "charsmap.bin": map }) };
  return tflite(manifestOf("ner", { format: 2, tokenizer }), unigram.tokens, { more });
}

test("a whole file with a Unigram vocabulary is read", () => {
  const { model, ...file } = readModelFile(unigramFile());
  assert.deepEqual([...model.scores], unigram.scores);
  assert.deepEqual(model.charsmap, MAP);
  const { windows } = encode(factsOf({ model, ...file }), ["the music"]);
  assert.deepEqual([...windows[0].tokenIds].map((id) => unigram.tokens[id]), ["<s>", "\u2581the", "\u2581music", "</s>"]);
});

const broken = {
  "no scores": [{ scores: null }, /piece_scores\.bin with 8 bytes.*Received: none/],
  "scores that are cut short": [{ scores: SCORES.slice(0, -1) }, /piece_scores\.bin with 8 bytes/],
  "more scores than tokens": [{ scores: new Uint8Array(2 * SCORES.length) }, /at most \d+ pieces/],
  "no character map": [{ map: null }, /a character map for the rule precompiled/],
  "a character map that is cut short": [{ map: MAP.slice(0, 2000) }, /whole character map/],
  "another kind": [{ settings: { kind: "bpe" } }, /wordpiece or unigram\. Received: "bpe"/],
  "an unknown rule": [{ settings: { normalizers: [{ type: "nfkc" }] } }, /a text rule that is known.*nfkc/],
  "another unknown token": [{ settings: { unknown_token: "<none>" } }, /"<none>" among the tokens/],
};
for (const [name, [parts, message]] of Object.entries(broken)) {
  test(`refused with Unigram: ${name}`, () => {
    assert.throws(() => factsOf(readModelFile(unigramFile(parts))), { name: "ModelError", message });
  });
}

test("damaged character maps and scores give an error of ours or a tokenizer", () => {
  let seed = 7;
  const random = (limit) => (seed = (seed * 48271) % 2147483647) % limit;
  for (let round = 0; round < 300; round++) {
    const [map, scores] = [MAP.slice(), SCORES.slice()];
    for (let count = 20; count > 0; count--) map[random(map.length)] = random(256);
    scores[random(scores.length)] = random(256);
    try {
      const model = { scores: new Float64Array(scores.buffer), charsmap: map };
      const manifest = manifestOf("ner", { tokenizer: unigram.settings });
      encode(factsOf({ manifest, tokens: unigram.tokens, model }), ["the caf\u00e9 \u2460\u0301 \ufb01\ud800"]);
    } catch (error) {
      assert.ok(error instanceof ModelError, error.stack);
    }
  }
});

test("what is asked of the wrong model", () => {
  const facts = (name) => {
    const { tokens } = golden.vocabularies[golden.models[name].vocabulary];
    return factsOf({ manifest: manifestOf(name), tokens });
  };
  assert.throws(() => encode(facts("pairs"), ["one"]), { name: "UsageError", message: /two texts/ });
  assert.throws(() => encode(facts("ner"), ["one", "two"]), UsageError);
  assert.throws(() => encode(facts("regression of pairs"), ["one"]), UsageError);
  assert.throws(() => encode(facts("ner"), [null]), { name: "UsageError", message: /Received: a object/ });
  assert.throws(() => encodeWordList(facts("qa"), ["one"]), UsageError);
});

test("a megabyte of text is encoded whole", () => {
  const { tokens } = golden.vocabularies.words;
  const text = "the film was good \ud800 😀 ".repeat(45_000);
  const ner = factsOf({ manifest: manifestOf("ner"), tokens });
  const { windows, places } = encode(ner, [text]);
  assert.ok(windows.length > 10_000 && places.length === 5 * 45_000);
  const classifier = factsOf({ manifest: manifestOf("classification"), tokens });
  assert.equal(encode(classifier, [text]).windows[0].tokenIds.length, 16);
});
