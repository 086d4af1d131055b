/** Does what the session asks for: the requests of the benchmark program's protocol. */

const BASE64_CHUNK = 1 << 15;

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

  /** The outputs for given inputs. The first call of the signature is timed before. */
  async predict(request) {
    await this.first_call(request);
    const model = await this.#model(request);
    const outputs = [];
    for (const input of request.inputs) {
      const found = Object.entries(await model.predict(request.signature, input));
      const texts = found.map(([name, values]) => [name, inBase64(Float32Array.from(values))]);
      outputs.push(Object.fromEntries(texts));
    }
    return { outputs };
  }

  /** Inputs through our own tokenizer, the model and its decoding. */
  async answer(request) {
    const { texts: model } = await this.#model(request);
    const rows = [];
    for (const input of request.inputs) rows.push(await answerRow(model, input));
    return { rows };
  }

  #model({ model, threads }) {
    return this.engine.model(model, threads);
  }

  #calls(model, { kind, model: sha256, signature }) {
    if (kind === "model") return [model.call(signature)];
    return this.texts.get(sha256).map((text) => {
      const texts = typeof text === "string" ? [text] : text;
      return () => model.texts.answer(...texts);
    });
  }

  #keep(request, { samples_ms: samples, calls_per_sample: together }) {
    const key = rowKey(request);
    const known = this.latencies.get(key) ?? [];
    for (const sample of samples) known.push(sample / together);
    this.latencies.set(key, known);
  }
}

/** What the model was given and gave for an input, and its answer; none for token ids. */
async function answerRow(model, { texts, words, token_ids: tokenIds, segment_ids: segmentIds }) {
  if (tokenIds) {
    const windows = tokenIds.map((ids, number) => {
      return { tokenIds: Int32Array.from(ids), segmentIds: Int32Array.from(segmentIds[number]) };
    });
    const outputs = [];
    for (const window of windows) outputs.push(await model.run(window));
    return { calls: calls(model, windows, outputs), answer: null };
  }
  const { windows, outputs, answer } = await (words ? model.readWords(words) : model.read(texts));
  return { calls: calls(model, windows, outputs), answer: essence(answer) };
}

function calls(model, windows, outputs) {
  return windows.map(({ tokenIds }, number) => {
    const { values, width } = outputs[number];
    const column = (first) => values.filter((_, place) => place % 2 === first);
    const named =
      model.task === "qa"
        ? { start_logits: column(0), end_logits: column(1) }
        : { [model.manifest.output]: used(model, tokenIds, values, width) };
    const entries = Object.entries(named).map(([name, part]) => [name, inBase64(part)]);
    return { token_ids: Array.from(tokenIds), outputs: Object.fromEntries(entries) };
  });
}

/** Without the rows of masks that a text does not have. */
function used(model, tokenIds, values, width) {
  if (model.task !== "masked-lm") return values;
  const maskId = model.facts.tokens.indexOf(model.facts.maskToken);
  return values.subarray(0, width * tokenIds.filter((id) => id === maskId).length);
}

/** What an answer says, without what can be told from it. */
function essence({ label, probability, labels, score, entities, words, answers, cosine, filled }) {
  return {
    ...(label === undefined ? {} : { label, probability }),
    ...(labels && { labels }),
    ...(score === undefined ? {} : { score }),
    ...(entities && { entities: entities.map(({ text, type }) => ({ text, type })) }),
    ...(words && !entities && { tags: words.map(({ tag }) => tag) }),
    ...(answers && { text: answers[0].text }),
    ...(cosine === undefined ? {} : { cosine }),
    ...(filled === undefined ? {} : { filled }),
  };
}

/** The bytes of float32 numbers. */
function inBase64(values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const parts = [];
  for (let start = 0; start < bytes.length; start += BASE64_CHUNK) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + BASE64_CHUNK)));
  }
  return btoa(parts.join(""));
}
