/** The session's models in LiteRT.js: fetched, compiled, called, and given texts. */

import { fetchBytes, Model, readModelFile, Runtime } from "edgebert";

const WASM_FOLDER = new URL("./litertjs/wasm/", location.href);
const TOKEN_ID_LIMIT = 100;
const ARRAYS = { int32: Int32Array, float32: Float32Array, uint8: Uint8Array };

/** The runtime with one thread count, and the models that were compiled in it. */
export class Engine {
  /** @param {"wasm" | "webgpu"} accelerator - Where models run. */
  constructor(accelerator) {
    this.accelerator = accelerator;
    this.files = new Map();
    this.models = new Map();
    this.threads = 0;
  }

  /**
   * Fetches a model's bytes.
   *
   * @param {{sha256: string, answers: boolean}} model - Whether it answers texts, too.
   * @param {function(number): void} onBytes - Hears how many came.
   */
  async fetchModel({ sha256, answers }, onBytes) {
    let heard = 0;
    const bytes = await fetchBytes(`models/${sha256}.tflite`, (loaded) => {
      onBytes(loaded - heard);
      heard = loaded;
    });
    this.files.set(sha256, { bytes, answers });
  }

  /** A compiled model; compiled now where it isn't yet. */
  async model(sha256, threads) {
    await this.#start(threads);
    if (!this.models.has(sha256)) this.models.set(sha256, await this.#compile(sha256));
    return this.models.get(sha256);
  }

  /** The size of the runtime's memory: it never shrinks. */
  get heapBytes() {
    return this.runtime.heapBytes;
  }

  async #start(threads) {
    if (this.threads === threads) return;
    this.models.clear();
    const { accelerator } = this;
    this.runtime = await Runtime.start({ wasm: WASM_FOLDER, threads, accelerator });
    this.build = this.runtime.build;
    this.threads = threads;
    /** The heap with no model in it. */
    this.emptyBytes = this.heapBytes;
  }

  async #compile(sha256) {
    const { bytes, answers } = this.files.get(sha256);
    const before = this.heapBytes;
    const start = performance.now();
    const graph = await this.runtime.compile(bytes);
    const loadMs = performance.now() - start;
    return new LoadedModel(this, graph, answers ? bytes : null, loadMs, this.heapBytes - before);
  }
}

/** A compiled model. By how much the heap grew while it was at work is counted as its own. */
class LoadedModel {
  constructor(engine, graph, bytes, loadMs, grown) {
    Object.assign(this, { engine, graph, loadMs, grown });
    this.firstCallMs = new Map();
    const start = performance.now();
    /** Answers texts; null where the file has no task. */
    this.texts = bytes && new Model(readModelFile(bytes), graph);
    this.tokenizerMs = performance.now() - start;
  }

  get runsOn() {
    return this.graph.runsOn;
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
    const values = {};
    for (const { name, dtype, shape } of this.graph.inputs(key)) {
      values[name] = madeUp(name, dtype, shape.reduce((product, size) => product * size, 1));
    }
    return () => this.graph.run(key, values);
  }

  /** The outputs by name of a signature, for inputs as nested lists by name. */
  predict(key, given) {
    const values = {};
    for (const { name, dtype } of this.graph.inputs(key)) {
      values[name] = ARRAYS[dtype].from(given[name].flat(Infinity));
    }
    return this.graph.run(key, values);
  }
}

function madeUp(name, dtype, size) {
  const values = new ARRAYS[dtype](size);
  if (/mask/i.test(name)) return values.fill(1);
  if (dtype === "float32" || /segment|type/i.test(name)) return values;
  return values.map(() => Math.floor(Math.random() * TOKEN_ID_LIMIT));
}
