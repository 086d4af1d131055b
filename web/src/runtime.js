/** LiteRT.js: starts it, compiles files in it, and runs their signatures. */

import { loadAndCompile, loadLiteRt, supportsFeature, Tensor, unloadLiteRt } from "@litertjs/core";

import { ModelError } from "./errors.js";

/**
 * @typedef {object} RuntimeOptions
 * @property {string | URL} [wasm] - The folder with LiteRT.js' wasm files; `wasm/` of
 *   `@litertjs/core`, wherever that is imported from, where it is not given.
 * @property {number} [threads] - More than 1 needs a cross-origin isolated page.
 * @property {"wasm" | "webgpu"} [accelerator]
 *
 * @typedef {import("@litertjs/core").TypedArray} Values
 */

/** Whether this browser's WebAssembly has relaxed SIMD, with which LiteRT.js is about twice as fast. */
export function hasRelaxedSimd() {
  return supportsFeature("relaxedSimd");
}

/** LiteRT.js, started. A page has one at a time. */
export class Runtime {
  /** @type {Runtime | null} */
  static current = null;

  /**
   * @param {any} liteRt
   * @param {string} build - Which wasm build it is, in words.
   * @param {Required<Omit<RuntimeOptions, "wasm">>} options
   */
  constructor(liteRt, build, { threads, accelerator }) {
    this.liteRt = liteRt;
    this.build = build;
    this.threads = threads;
    this.accelerator = accelerator;
  }

  /**
   * Starts LiteRT.js; the running one is ended before.
   *
   * @param {RuntimeOptions} [options]
   * @returns {Promise<Runtime>}
   */
  static async start({ wasm = wasmFolder(), threads = 1, accelerator = "wasm" } = {}) {
    Runtime.current?.close();
    const isGpu = accelerator === "webgpu";
    // JSPI lets a part of a model run in wasm where WebGPU doesn't take it.
    const options = { threads: threads > 1, jspi: isGpu && (await supportsFeature("jspi")) };
    const liteRt = await loadLiteRt(String(wasm), options);
    const build = await buildName(options);
    Runtime.current = new Runtime(liteRt, build, { threads, accelerator });
    return Runtime.current;
  }

  /** The size of its memory in bytes: it never shrinks. */
  get heapBytes() {
    return this.liteRt.liteRtWasm.HEAPU8.buffer.byteLength;
  }

  /**
   * Compiles a file.
   *
   * @param {Uint8Array} bytes
   * @returns {Promise<Graph>}
   * @throws {ModelError} The runtime does not take it.
   */
  async compile(bytes) {
    try {
      const compiled = await loadAndCompile(bytes, {
        accelerator: this.accelerator,
        cpuOptions: { numThreads: this.threads },
      });
      return new Graph(compiled);
    } catch (error) {
      // The runtime throws numbers, too: addresses of its own exceptions.
      const received = typeof error === "number" ? "a failure without words" : String(error);
      const megabytes = (bytes.length / 1e6).toFixed(1);
      // It aborts at weights that its GPU delegate does not take; docs/on-device.md lists them.
      const isGpu = this.accelerator === "webgpu";
      throw new ModelError(
        `LiteRT.js does not take the model of ${megabytes} MB. Received: ${received}. Next: ` +
          (isGpu ? 'load the page again and open the model with the accelerator "wasm"; or ' : "") +
          "the device may have too little memory: close other tabs, or export a smaller model; " +
          "else export it with another --recipe.",
        { cause: error },
      );
    }
  }

  /** Ends it, with all that was compiled in it. */
  close() {
    if (Runtime.current === this) {
      Runtime.current = null;
      unloadLiteRt();
    }
  }
}

/** A compiled file. */
export class Graph {
  /** @type {Promise<unknown>} */
  #last = Promise.resolve();

  /** @param {import("@litertjs/core").CompiledModel} compiled */
  constructor(compiled) {
    this.compiled = compiled;
  }

  /** Where its operations run: LiteRT.js goes back to wasm where WebGPU doesn't take them. */
  get runsOn() {
    if (this.compiled.options.accelerator === "wasm") return "wasm";
    return this.compiled.isFullyAccelerated ? "webgpu" : "webgpu and wasm";
  }

  /**
   * The inputs of a signature.
   *
   * @param {string} [key] - The first signature where it is not given.
   */
  inputs(key) {
    return this.#signature(key).getInputDetails();
  }

  /**
   * Runs a signature; calls take turns.
   *
   * @param {string | undefined} key - The first signature where it is not given.
   * @param {Record<string, Values>} values - By input.
   * @returns {Promise<Record<string, Values>>} By output.
   */
  run(key, values) {
    const turn = () => this.#run(this.#signature(key), values);
    const result = this.#last.then(turn, turn);
    this.#last = result;
    return result;
  }

  /** Frees its memory. */
  close() {
    if (!this.compiled.deleted) this.compiled.delete();
  }

  /** @param {string | undefined} key */
  #signature(key) {
    const known = this.compiled.signatures;
    if (!key) return Object.values(known)[0];
    if (!(key in known)) {
      throw new ModelError(
        `Expected a signature ${key}. Received: a model with ${Object.keys(known).join(", ")}. ` +
          "Next: export the model again.",
      );
    }
    return known[key];
  }

  /**
   * Nothing is left in the heap.
   *
   * @param {import("@litertjs/core").SignatureRunner} signature
   * @param {Record<string, Values>} values
   */
  async #run(signature, values) {
    /** @type {Record<string, Tensor>} */
    const inputs = {};
    /** @type {Record<string, Tensor>} */
    let outputs = {};
    try {
      for (const { name, shape } of signature.getInputDetails()) {
        inputs[name] = new Tensor(values[name], shape);
      }
      outputs = await signature.run(inputs);
      /** @type {Record<string, Values>} */
      const found = {};
      for (const [name, output] of Object.entries(outputs)) found[name] = await output.data();
      return found;
    } finally {
      for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
    }
  }
}

/** The wasm build that LiteRT.js takes, in words. */
/** @param {{threads: boolean, jspi: boolean}} options */
async function buildName({ threads, jspi }) {
  if (!(await hasRelaxedSimd())) return "no relaxed SIMD";
  if (threads) return "threaded, relaxed SIMD";
  return jspi ? "JSPI, relaxed SIMD" : "relaxed SIMD";
}

function wasmFolder() {
  return new URL("../wasm/", import.meta.resolve("@litertjs/core")).href;
}
