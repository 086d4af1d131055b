/** Answers of edgebert's models in the browser: text in, answer out. */

export { ModelError, UsageError } from "./errors.js";
export { fetchBytes, Model, open } from "./model.js";
export { readModelFile } from "./model_file.js";
export { hasRelaxedSimd, Runtime } from "./runtime.js";
export { decode, encode, factsOf } from "./tasks.js";
export { createTokenizer, toUtf16Offsets } from "./tokenizer.js";
export { SearchIndex } from "./vectors.js";

/** @typedef {import("./tokenizer.js").Encoding} Encoding */
