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
function tflite(manifest, tokens, { name = "EDGEBERT_MANIFEST", method = 0 } = {}) {
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
  const file = text.encode("vocab.txt");
  const vocabulary = text.encode(`${tokens.join("\n")}\n`);
  const sizes = numbers("u32", 0, vocabulary.length, vocabulary.length);
  const entry = bytesOf(numbers("u16", 20, 0, method, 0, 0), sizes, numbers("u16", file.length, 0));
  const local = bytesOf(numbers("u32", 0x04034b50), entry, file, vocabulary);
  const directory = bytesOf(
    numbers("u32", 0x02014b50), numbers("u16", 20), entry, numbers("u16", 0, 0, 0),
    numbers("u32", 0, body.length), file,
  );
  const end = bytesOf(
    numbers("u32", 0x06054b50), numbers("u16", 0, 0, 1, 1),
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
