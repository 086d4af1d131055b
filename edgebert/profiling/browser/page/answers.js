/** Does what the session asks for: the requests of the benchmark program's protocol. */

import { timeCalls, timeOnce } from "./timing.js";

/** What a request's latencies and a result's row have in common. */
export function rowKey({ model, threads, kind, signature }) {
  return [model, threads, kind, signature ?? ""].join(" ");
}

/** One method a request; each gives the body of the answer. */
export class Answers {
  /**
   * @param {Engine} engine - With the models fetched.
   * @param {number} clockMs - The clock's step.
   */
  constructor(engine, clockMs) {
    Object.assign(this, { engine, clockMs });
    this.texts = new Map();
    /** Latencies in ms of the blocks that were timed, by `rowKey`. */
    this.latencies = new Map();
  }

  /** Compiles a model once; asked again, it tells of that time. */
  async load({ model: sha256, threads, kind, texts }) {
    const model = await this.engine.model(sha256, threads);
    if (texts) this.texts.set(sha256, texts);
    return {
      load_ms: Math.max(model.loadMs, this.clockMs) + (kind === "model" ? 0 : model.tokenizerMs),
      build: this.engine.build,
      runs_on: model.runsOn,
      rss_before: this.engine.emptyBytes,
      rss_after: this.engine.emptyBytes + model.grown,
    };
  }

  /** The first call of a signature happens once; asked again, it tells of that one. */
  async first_call(request) {
    const model = await this.#model(request);
    const key = `${request.kind} ${request.signature ?? ""}`;
    if (!model.firstCallMs.has(key)) {
      const [call] = this.#calls(model, request);
      const [ms] = await model.growing(() => timeOnce(call, this.clockMs));
      model.firstCallMs.set(key, ms);
    }
    return { first_call_ms: model.firstCallMs.get(key) };
  }

  async run(request) {
    const model = await this.#model(request);
    const calls = this.#calls(model, request);
    const timed = await model.growing(() => timeCalls(calls, request, this.clockMs));
    if (request.min_seconds) this.#keep(request, timed);
    return timed;
  }

  /** As if the model were alone in the heap. */
  async memory(request) {
    const model = await this.#model(request);
    const bytes = this.engine.emptyBytes + model.grown;
    return { rss: bytes, peak_rss: bytes };
  }

  /** Texts through our own tokenizer and the model. */
  async classify(request) {
    const model = await this.#model(request);
    const results = [];
    for (const text of request.texts) results.push(await model.read(text));
    return {
      outputs: results.map(({ output }) => Array.from(output)),
      token_ids: results.map(({ tokenIds }) => Array.from(tokenIds)),
    };
  }

  #model({ model, threads }) {
    return this.engine.model(model, threads);
  }

  #calls(model, { kind, model: sha256, signature }) {
    if (kind === "model") return [model.call(signature)];
    return this.texts.get(sha256).map((text) => () => model.classify(text));
  }

  #keep(request, { samples_ms: samples, calls_per_sample: together }) {
    const key = rowKey(request);
    const known = this.latencies.get(key) ?? [];
    for (const sample of samples) known.push(sample / together);
    this.latencies.set(key, known);
  }
}
