/**
 * Reads what travels inside a `.tflite` of edgebert: the manifest and the vocabulary.
 *
 * docs/file-format.md in edgebert's repository specifies it. The graph itself is the runtime's.
 */

import { ModelError } from "./errors.js";

/** Format 2 is that of Unigram vocabularies. */
export const FORMATS = [1, 2];
const MANIFEST = "EDGEBERT_MANIFEST";
const VOCABULARY = "vocab.txt";
const SCORES = "piece_scores.bin";
const CHARACTER_MAP = "charsmap.bin";
const IDENTIFIER = "TFL3";
/** @type {Record<string, string[]>} */
const TASKS = {
  classification: ["probabilities", "logits"],
  pairs: ["probabilities", "logits"],
  "multi-label": ["probabilities", "logits"],
  regression: ["score"],
  ner: ["probabilities", "logits"],
  pos: ["probabilities", "logits"],
  qa: ["logits"],
  embeddings: ["embedding"],
  "masked-lm": ["logits"],
};
/** Table `Model` of LiteRT's schema: its fields 4 and 6. */
const BUFFERS_FIELD = 4;
const METADATA_FIELD = 6;
const CUT_SHORT = "Next: it may be cut short: fetch or export it again.";
/** Of a ZIP archive: the record at its end, an entry of its directory, a file's own header. */
const END_RECORD = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const FILE_HEADER = 0x04034b50;
const END_RECORD_BYTES = 22;

/**
 * @typedef {object} Manifest - What the file says of itself; see docs/file-format.md.
 * @property {number} format
 * @property {string} task
 * @property {string[]} labels - In the order of the outputs.
 * @property {Record<string, any>} decoding
 * @property {string} output
 * @property {number[]} lengths - Token lengths of the signatures, ascending.
 * @property {number} max_length
 * @property {import("./tokenizer.js").TokenizerSettings} tokenizer
 * @property {string} vocabulary_sha256
 * @property {{num_segments: number}} config
 *
 * @typedef {object} ModelFile
 * @property {Manifest} manifest
 * @property {string[]} tokens - Of the vocabulary; a token's id is its place.
 * @property {import("./unigram.js").UnigramModel | null} [model] - Of a Unigram vocabulary.
 */

/**
 * Reads a model file.
 *
 * @param {Uint8Array} bytes - Of the whole file.
 * @returns {ModelFile}
 * @throws {ModelError} It is no `.tflite`, cut short, not of edgebert, or of a newer format.
 */
export function readModelFile(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const found = metadataBuffer(view, MANIFEST);
    if (found === null) {
      throw new ModelError(
        `Expected a .tflite of edgebert. Received: one without ${MANIFEST}, so its vocabulary and ` +
          "labels are unknown. Next: export the model with `edgebert export`.",
      );
    }
    const manifest = parseManifest(text(found));
    const vocabulary = associatedFile(view, VOCABULARY);
    if (vocabulary === null) {
      throw new ModelError(`Expected ${VOCABULARY} inside the .tflite. It is not. ${CUT_SHORT}`);
    }
    const tokens = text(vocabulary).replace(/\n$/, "").split("\n");
    return { manifest, tokens, model: readUnigram(view, manifest, tokens.length) };
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) {
      throw new ModelError(
        `Expected a whole .tflite. Received: ${bytes.length} bytes that point beyond their end ` +
          `or are no text where there must be one. ${CUT_SHORT}`,
        { cause: error },
      );
    }
    throw error;
  }
}

/**
 * @param {string} content
 * @returns {Manifest}
 */
function parseManifest(content) {
  let manifest;
  try {
    manifest = JSON.parse(content);
  } catch (error) {
    throw new ModelError(`Expected a manifest in JSON. Received: ${error}. ${CUT_SHORT}`);
  }
  if (!FORMATS.includes(manifest?.format)) {
    throw new ModelError(
      `Expected a model file of format ${FORMATS.join(" or ")}. Received: format ${manifest?.format}. Next: use ` +
        "the version of this library that is as new as the file, or export the model again.",
    );
  }
  const wanted = {
    task: typeof manifest.task === "string",
    labels: isListOf("string", manifest.labels),
    output: typeof manifest.output === "string",
    lengths: isListOf("number", manifest.lengths),
    max_length: Number.isInteger(manifest.max_length),
    tokenizer: isTable(manifest.tokenizer),
    vocabulary_sha256: typeof manifest.vocabulary_sha256 === "string",
    config: isTable(manifest.config) && Number.isInteger(manifest.config.num_segments),
  };
  const wrong = Object.entries(wanted).filter(([, right]) => !right);
  if (wrong.length) {
    const names = wrong.map(([name]) => name).join(", ");
    throw new ModelError(`Expected a whole manifest. Received: wrong or no ${names}. ${CUT_SHORT}`);
  }
  manifest.decoding ??= {};
  refuseUnknown(manifest);
  return manifest;
}

/**
 * What a Unigram vocabulary has beside its tokens; null of others.
 *
 * @param {DataView} view
 * @param {Manifest} manifest
 * @param {number} tokens
 * @returns {import("./unigram.js").UnigramModel | null}
 */
function readUnigram(view, { tokenizer }, tokens) {
  const kind = tokenizer.kind ?? "wordpiece";
  if (kind === "wordpiece") return null;
  if (kind !== "unigram") {
    throw new ModelError(
      `Expected a tokenizer of the kind wordpiece or unigram. Received: "${kind}". Next: use a newer ` +
        "version of this library.",
    );
  }
  const bytes = associatedFile(view, SCORES);
  if (bytes === null || bytes.length % 8 !== 0 || bytes.length / 8 > tokens) {
    const received = bytes === null ? "none" : `${bytes.length} bytes`;
    throw new ModelError(
      `Expected ${SCORES} with 8 bytes for each of at most ${tokens} pieces. Received: ${received}. ${CUT_SHORT}`,
    );
  }
  const numbers = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scores = new Float64Array(bytes.length / 8);
  for (let id = 0; id < scores.length; id++) scores[id] = numbers.getFloat64(8 * id, true);
  return { scores, charsmap: associatedFile(view, CHARACTER_MAP) };
}

/** @param {Manifest} manifest */
function refuseUnknown({ task, output, lengths, labels }) {
  const outputs = Object.hasOwn(TASKS, task) ? TASKS[task] : null;
  if (outputs === null) {
    const bare = task === "encoder" ? ", which has no answers: it is a bare encoder" : "";
    throw new ModelError(
      `Expected a model of a task: ${Object.keys(TASKS).join(", ")}. Received: "${task}"${bare}. ` +
        "Next: export a fine-tuned model, or use a newer version of this library.",
    );
  }
  if (!outputs.includes(output)) {
    throw new ModelError(
      `Expected outputs of ${task}: ${outputs.join(" or ")}. Received: "${output}". Next: export ` +
        "the model with `edgebert export --output`.",
    );
  }
  if (lengths.length === 0) {
    throw new ModelError(
      "Expected fixed token lengths, which LiteRT.js wants. Received: free ones. Next: export the " +
        "model with --lengths, such as --lengths 16,32,64,128.",
    );
  }
  if (outputs.length === 2 && labels.length === 0) {
    throw new ModelError(`Expected labels of a model of ${task}. Received: none. ${CUT_SHORT}`);
  }
}

/** @param {string} type @param {unknown} value */
function isListOf(type, value) {
  return Array.isArray(value) && value.every((item) => typeof item === type);
}

/** @param {unknown} value */
function isTable(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {Uint8Array} bytes @returns {string} */
function text(bytes) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** @param {DataView} view @param {number} start @param {number} length */
function part(view, start, length) {
  if (start + length > view.byteLength) throw new RangeError("a part beyond the end");
  return new Uint8Array(view.buffer, view.byteOffset + start, length);
}

// The flatbuffer. Offsets are little-endian; a DataView throws a RangeError beyond the end.

/**
 * A named metadata buffer; of several with the name the last one counts.
 *
 * @param {DataView} view
 * @param {string} name
 * @returns {Uint8Array | null}
 */
function metadataBuffer(view, name) {
  if (view.byteLength < 8 || latin(part(view, 4, 4)) !== IDENTIFIER) {
    throw new ModelError(
      `Expected a .tflite, which has ${IDENTIFIER} at byte 4. Received: ${view.byteLength} bytes ` +
        "without it. Next: give the address of the .tflite itself.",
    );
  }
  const root = follow(view, 0);
  const buffers = tables(view, root, BUFFERS_FIELD);
  let found = null;
  for (const entry of tables(view, root, METADATA_FIELD)) {
    const nameField = field(view, entry, 0);
    if (nameField === 0 || latin(vector(view, nameField)) !== name) continue;
    const indexField = field(view, entry, 1);
    const index = indexField === 0 ? 0 : view.getUint32(indexField, true);
    if (index >= buffers.length) throw new RangeError("no such buffer");
    const data = field(view, buffers[index], 0);
    found = data === 0 ? new Uint8Array(0) : vector(view, data);
  }
  return found;
}

/** @param {DataView} view @param {number} place */
function follow(view, place) {
  return place + view.getUint32(place, true);
}

/** Where a table's field is; 0 where the table has none. */
/** @param {DataView} view @param {number} table @param {number} number */
function field(view, table, number) {
  const layout = table - view.getInt32(table, true);
  const slot = 4 + 2 * number;
  if (slot >= view.getUint16(layout, true)) return 0;
  const offset = view.getUint16(layout + slot, true);
  return offset === 0 ? 0 : table + offset;
}

/** The bytes of a vector of bytes, or of a string. */
/** @param {DataView} view @param {number} place - Of the field. */
function vector(view, place) {
  const start = follow(view, place);
  return part(view, start + 4, view.getUint32(start, true));
}

/** Positions of the tables of one of the root's vectors. */
/** @param {DataView} view @param {number} root @param {number} number */
function tables(view, root, number) {
  const place = field(view, root, number);
  if (place === 0) return [];
  const start = follow(view, place);
  const count = view.getUint32(start, true);
  part(view, start + 4, 4 * count);
  return Array.from({ length: count }, (_, item) => follow(view, start + 4 + 4 * item));
}

/** @param {Uint8Array} bytes */
function latin(bytes) {
  return String.fromCharCode(...bytes);
}

// The archive behind the graph. Entries are stored as they are, without compression.

/**
 * @param {DataView} view
 * @param {string} name
 * @returns {Uint8Array | null}
 */
function associatedFile(view, name) {
  const end = view.byteLength - END_RECORD_BYTES;
  if (end < 0 || view.getUint32(end, true) !== END_RECORD) return null;
  const count = view.getUint16(end + 10, true);
  let place = view.getUint32(end + 16, true);
  for (let entry = 0; entry < count; entry++) {
    if (view.getUint32(place, true) !== DIRECTORY_ENTRY) throw new RangeError("no directory");
    const nameLength = view.getUint16(place + 28, true);
    if (text(part(view, place + 46, nameLength)) === name) return storedFile(view, place);
    place += 46 + nameLength + view.getUint16(place + 30, true) + view.getUint16(place + 32, true);
  }
  return null;
}

/** @param {DataView} view @param {number} entry - Of the directory. */
function storedFile(view, entry) {
  const header = view.getUint32(entry + 42, true);
  if (view.getUint16(entry + 10, true) !== 0 || view.getUint32(header, true) !== FILE_HEADER) {
    throw new RangeError("no stored file");
  }
  const names = view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
  return part(view, header + 30 + names, view.getUint32(entry + 20, true));
}
