/** LiteRT.js and the models in it: loads, calls, and puts text through them. */

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor, unloadLiteRt } from "@litertjs/core";

import { createTokenizer } from "./tokenizer.js";

const WASM_FOLDER = "./litertjs/wasm/";
const TOKEN_ID_LIMIT = 100;

/** Whether this browser's WebAssembly has relaxed SIMD, with which LiteRT.js is about twice as fast. */
export function hasRelaxedSimd() {
  return supportsFeature("relaxedSimd");
}

/** The wasm build that LiteRT.js takes, in words. */
async function buildName({ threads, jspi }) {
  if (!(await hasRelaxedSimd())) return "no relaxed SIMD";
  if (threads) return "threaded, relaxed SIMD";
  return jspi ? "JSPI, relaxed SIMD" : "relaxed SIMD";
}

/** The runtime with one thread count, and the models that were compiled in it. */
export class Engine {
  /** @param {boolean} webgpu - Whether models run on WebGPU instead of wasm. */
  constructor(webgpu) {
    this.webgpu = webgpu;
    this.files = new Map();
    this.textRules = new Map();
    this.models = new Map();
    this.threads = 0;
  }

  /** Fetches a model's bytes, and the rules of its text where it is a classifier. */
  async fetchModel({ sha256, classifier }, onBytes) {
    this.files.set(sha256, await fetchBytes(`models/${sha256}.tflite`, onBytes));
    if (classifier) this.textRules.set(sha256, await (await fetched(`models/${sha256}.json`)).json());
  }

  /** A compiled model; compiled now where it isn't yet. */
  async model(sha256, threads) {
    await this.#start(threads);
    if (!this.models.has(sha256)) this.models.set(sha256, await this.#compile(sha256));
    return this.models.get(sha256);
  }

  /** The size of the runtime's memory: it never shrinks. */
  get heapBytes() {
    return this.liteRt.liteRtWasm.HEAPU8.buffer.byteLength;
  }

  async #start(threads) {
    if (this.threads === threads) return;
    if (this.threads) {
      this.models.clear();
      unloadLiteRt();
    }
    // JSPI lets a part of a model run in wasm where WebGPU doesn't take it.
    const options = { threads: threads > 1, jspi: this.webgpu && (await supportsFeature("jspi")) };
    this.liteRt = await loadLiteRt(WASM_FOLDER, options);
    this.build = await buildName(options);
    this.threads = threads;
    /** The heap with no model in it. */
    this.emptyBytes = this.heapBytes;
  }

  async #compile(sha256) {
    const before = this.heapBytes;
    const start = performance.now();
    const compiled = await loadAndCompile(this.files.get(sha256), {
      accelerator: this.webgpu ? "webgpu" : "wasm",
      cpuOptions: { numThreads: this.threads },
    });
    const loadMs = performance.now() - start;
    return new LoadedModel(this, sha256, compiled, loadMs, this.heapBytes - before);
  }
}

/** A compiled model. By how much the heap grew while it was at work is counted as its own. */
class LoadedModel {
  constructor(engine, sha256, compiled, loadMs, grown) {
    Object.assign(this, { engine, sha256, compiled, loadMs, grown });
    this.firstCallMs = new Map();
    this.rules = engine.textRules.get(sha256);
    const start = performance.now();
    this.tokenizer = this.rules && createTokenizer(this.rules.tokenizer, this.rules.tokens);
    this.tokenizerMs = performance.now() - start;
  }

  /** Where its operations run: LiteRT.js goes back to wasm where WebGPU doesn't take them. */
  get runsOn() {
    if (this.compiled.options.accelerator === "wasm") return "wasm";
    return this.compiled.isFullyAccelerated ? "webgpu" : "webgpu and wasm";
  }

  /** Does something that may make the heap grow. */
  async growing(work) {
    const before = this.engine.heapBytes;
    const result = await work();
    this.grown += this.engine.heapBytes - before;
    return result;
  }

  /** A call of a signature with made-up inputs: ids at random, masks of ones, the rest zeros. */
  call(key) {
    const signature = this.#signature(key);
    const values = {};
    for (const { name, dtype, shape } of signature.getInputDetails()) {
      values[name] = madeUp(name, dtype, shape.reduce((product, size) => product * size, 1));
    }
    return () => this.#run(signature, values);
  }

  /** Text in; token ids and the output of the shortest signature that they fit in out. */
  async read(text) {
    const { max_length: longest, lengths, tokenizer } = this.rules;
    const { tokenIds } = this.tokenizer.encode(text, longest);
    const length = lengths.find((size) => tokenIds.length <= size);
    const padId = (this.padId ??= this.rules.tokens.indexOf(tokenizer.pad_token));
    const values = {
      token_ids: new Int32Array(length).fill(padId),
      padding_mask: new Int32Array(length).fill(1, 0, tokenIds.length),
      segment_ids: new Int32Array(length),
    };
    values.token_ids.set(tokenIds);
    const [output] = await this.#run(this.#signature(`tokens_${length}`), values);
    return { tokenIds, output, length };
  }

  /** Text in; the best label and the probabilities of all out. */
  async classify(text) {
    const { tokenIds, output, length } = await this.read(text);
    const scores = this.rules.output === "probabilities" ? output : softmax(output);
    const best = scores.indexOf(Math.max(...scores));
    return { label: this.rules.labels[best], scores, tokenIds, length };
  }

  #signature(key) {
    const known = this.compiled.signatures;
    if (!key) return Object.values(known)[0];
    if (!(key in known)) throw new Error(`The model has no signature ${key} in LiteRT.js.`);
    return known[key];
  }

  /** Arrays in by name, arrays out in the model's order; nothing is left in the heap. */
  async #run(signature, values) {
    const inputs = {};
    const outputs = [];
    try {
      for (const { name, shape } of signature.getInputDetails()) {
        inputs[name] = new Tensor(values[name], shape);
      }
      outputs.push(...Object.values(await signature.run(inputs)));
      return await Promise.all(outputs.map((output) => output.data()));
    } finally {
      for (const tensor of [...Object.values(inputs), ...outputs]) tensor.delete();
    }
  }
}

function madeUp(name, dtype, size) {
  const kind = { int32: Int32Array, float32: Float32Array, uint8: Uint8Array }[dtype];
  const values = new kind(size);
  if (/mask/i.test(name)) return values.fill(1);
  if (dtype === "float32" || /segment|type/i.test(name)) return values;
  return values.map(() => Math.floor(Math.random() * TOKEN_ID_LIMIT));
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} can't be loaded: ${response.status}.`);
  return response;
}

async function fetchBytes(path, onBytes) {
  const response = await fetched(path);
  const bytes = new Uint8Array(Number(response.headers.get("Content-Length")));
  const reader = response.body.getReader();
  let filled = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes.set(part.value, filled);
    filled += part.value.length;
    onBytes(part.value.length);
  }
  if (filled !== bytes.length) throw new Error(`${path} came cut short.`);
  return bytes;
}
