/** A model file, opened: text in, answer out. */

import { ModelError, UsageError } from "./errors.js";
import { readModelFile } from "./model_file.js";
import { Runtime } from "./runtime.js";
import { decode, encode, encodeWordList, factsOf, textsOf } from "./tasks.js";
import { SearchIndex } from "./vectors.js";

/** @typedef {import("./runtime.js").Graph} Graph */
/** @typedef {import("./runtime.js").RuntimeOptions} RuntimeOptions */
/** @typedef {import("./tokenizer.js").Encoding} Encoding */
/** @typedef {import("./numbers.js").Rows} Rows */

/**
 * Opens a model.
 *
 *     const tagger = await open("ner.tflite");
 *     const { entities } = await tagger.answer("Book a table for four at Nopi");
 *
 * @param {string | URL | ArrayBuffer | Uint8Array | Blob} source - An address, or the file itself.
 * @param {RuntimeOptions & {onBytes?: (loaded: number, total: number) => void}} [options] - Of
 *   LiteRT.js, which the first model starts and all others share; and what hears how much of the
 *   file was fetched (a total of 0 is not known).
 * @returns {Promise<Model>}
 * @throws {ModelError} It can't be fetched, is no model of edgebert or of a newer format, is cut
 *   short, or LiteRT.js does not take it.
 * @throws {UsageError} LiteRT.js runs with other options already.
 */
export async function open(source, { onBytes = () => {}, ...options } = {}) {
  const bytes = await bytesOf(source, onBytes);
  const file = readModelFile(bytes);
  await checkVocabulary(file);
  const runtime = await sharedRuntime(options);
  return new Model(file, await runtime.compile(bytes));
}

/** A compiled model with its vocabulary, labels and decoding. */
export class Model {
  /**
   * @param {import("./model_file.js").ModelFile} file
   * @param {Graph} graph
   */
  constructor(file, graph) {
    this.manifest = file.manifest;
    this.graph = graph;
    this.facts = factsOf(file);
    this.padId = file.tokens.indexOf(file.manifest.tokenizer.pad_token);
  }

  /** @returns {string} */
  get task() {
    return this.manifest.task;
  }

  /** In the order of the outputs; none where a task has none. */
  get labels() {
    return this.manifest.labels;
  }

  /** How many texts a question has: the fewest and the most. */
  get texts() {
    return textsOf(this.facts);
  }

  /**
   * Answers a question; what the answer has depends on the task, see the README.
   *
   * @param {...string} texts - A text; two of a pair; a question and its context.
   * @throws {UsageError} Not as many texts as the task wants.
   */
  async answer(...texts) {
    return (await this.read(texts)).answer;
  }

  /**
   * Answers a question, with all that lies between.
   *
   * @param {string[]} texts
   */
  async read(texts) {
    return this.#readFeatures(texts, encode(this.facts, texts));
  }

  /**
   * The same as `read` for a text that was split into words before; of models of tags.
   *
   * @param {string[]} words
   * @throws {UsageError} It is no model of tags.
   */
  async readWords(words) {
    return this.#readFeatures([words.join(" ")], encodeWordList(this.facts, words));
  }

  /** @param {string[]} texts @param {import("./tasks.js").Features} features */
  async #readFeatures(texts, features) {
    const outputs = [];
    for (const window of features.windows) outputs.push(await this.run(window));
    return { windows: features.windows, outputs, answer: decode(this.facts, texts, features, outputs) };
  }

  /**
   * Vectors of texts, to be searched.
   *
   * @param {string[]} texts
   * @returns {Promise<Search>}
   */
  async index(texts) {
    if (this.task !== "embeddings") {
      throw new UsageError(
        `Expected a model of embeddings. Received: one of ${this.task}. Next: train one with ` +
          "`edgebert finetune --task embeddings`.",
      );
    }
    const vectors = [];
    for (const text of texts) vectors.push((await this.answer(text)).embedding);
    return new Search(this, new SearchIndex(texts, vectors));
  }

  /**
   * What the file gives for an encoding, padding taken off.
   *
   * @param {Encoding} encoding
   * @returns {Promise<Rows>}
   */
  async run(encoding) {
    const tokens = encoding.tokenIds.length;
    const length = this.lengthOf(tokens);
    const values = {
      token_ids: new Int32Array(length).fill(this.padId),
      padding_mask: new Int32Array(length).fill(1, 0, tokens),
      segment_ids: new Int32Array(length),
    };
    values.token_ids.set(encoding.tokenIds);
    values.segment_ids.set(encoding.segmentIds);
    return this.#rows(await this.graph.run(`tokens_${length}`, values), tokens, length);
  }

  /**
   * The length of the shortest signature that so many tokens fit in.
   *
   * @param {number} tokens
   */
  lengthOf(tokens) {
    const length = this.manifest.lengths.find((size) => tokens <= size);
    if (length !== undefined) return length;
    throw new ModelError(
      `Expected at most ${this.manifest.lengths.at(-1)} tokens. Received: ${tokens}. Next: export ` +
        "the model with longer --lengths.",
    );
  }

  /** Frees the memory of the model. */
  close() {
    this.graph.close();
  }

  /**
   * @param {Record<string, import("./runtime.js").Values>} named
   * @param {number} tokens
   * @param {number} length
   * @returns {Rows}
   */
  #rows(named, tokens, length) {
    if (this.task === "qa") {
      const { start_logits: starts, end_logits: ends } = named;
      const values = new Float32Array(2 * tokens);
      for (let token = 0; token < tokens; token++) {
        values[2 * token] = starts[token];
        values[2 * token + 1] = ends[token];
      }
      return { values, width: 2 };
    }
    const values = /** @type {Float32Array} */ (Object.values(named)[0]);
    if (this.task === "ner" || this.task === "pos") {
      const width = values.length / length;
      return { values: values.subarray(0, tokens * width), width };
    }
    const width = this.task === "masked-lm" ? this.facts.tokens.length : values.length;
    return { values, width };
  }
}

/** Texts that a model of embeddings searches. */
class Search {
  /** @param {Model} model @param {SearchIndex} index */
  constructor(model, index) {
    this.model = model;
    this.vectors = index;
  }

  /**
   * The texts nearest in meaning, the nearest first.
   *
   * @param {string} query
   * @param {number} [top] - How many texts at most.
   */
  async search(query, top = 5) {
    return this.vectors.nearest((await this.model.answer(query)).embedding, top);
  }
}

/** @type {Promise<Runtime> | null} */
let starting = null;

/** @param {RuntimeOptions} options */
async function sharedRuntime(options) {
  if (Runtime.current === null) starting ??= Runtime.start(options);
  const runtime = Runtime.current ?? (await starting);
  starting = null;
  if (runtime === null) throw new Error("The runtime was closed while it was started.");
  const { threads = runtime.threads, accelerator = runtime.accelerator } = options;
  if (threads !== runtime.threads || accelerator !== runtime.accelerator) {
    throw new UsageError(
      `Expected the options of the running LiteRT.js: ${runtime.threads} threads on ` +
        `${runtime.accelerator}. Received: ${threads} on ${accelerator}. Next: open all models of ` +
        "a page with the same options.",
    );
  }
  return runtime;
}

/**
 * @param {string | URL | ArrayBuffer | Uint8Array | Blob} source
 * @param {(loaded: number, total: number) => void} onBytes
 * @returns {Promise<Uint8Array>}
 */
async function bytesOf(source, onBytes) {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  return fetchBytes(source, onBytes);
}

/**
 * Fetches a file.
 *
 * @param {string | URL} address
 * @param {(loaded: number, total: number) => void} onBytes
 * @returns {Promise<Uint8Array>}
 */
export async function fetchBytes(address, onBytes) {
  const response = await fetch(address);
  if (!response.ok || response.body === null) {
    throw new ModelError(
      `${address} can't be loaded. Received: ${response.status} ${response.statusText}. Next: see ` +
        "that the file lies there.",
    );
  }
  // What is compressed on its way has another length when it is unpacked.
  const isPacked = response.headers.has("Content-Encoding");
  const total = isPacked ? 0 : Number(response.headers.get("Content-Length"));
  const parts = [];
  let loaded = 0;
  const reader = response.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(read.value);
    loaded += read.value.length;
    onBytes(loaded, total);
  }
  if (total && loaded !== total) {
    throw new ModelError(
      `${address} came cut short: ${loaded} of ${total} bytes. Next: load it again.`,
    );
  }
  const bytes = new Uint8Array(loaded);
  let filled = 0;
  for (const part of parts) {
    bytes.set(part, filled);
    filled += part.length;
  }
  return bytes;
}

/**
 * Holds the vocabulary against its hash, where the browser has hashes: over http it has none.
 *
 * @param {import("./model_file.js").ModelFile} file
 */
async function checkVocabulary({ manifest, tokens }) {
  if (!globalThis.crypto?.subtle) return;
  const content = new TextEncoder().encode(`${tokens.join("\n")}\n`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hash !== manifest.vocabulary_sha256) {
    throw new ModelError(
      `Expected the vocabulary that was exported, SHA-256 ${manifest.vocabulary_sha256.slice(0, 12)}. ` +
        `Received: ${hash.slice(0, 12)}. Next: fetch or export the model again.`,
    );
  }
}
