/** Times our file in LiteRT.js and the peer's in onnxruntime-web, block by block in turn. */

import { Engine } from "./engine.js";
import * as ort from "./ort/ort.wasm.bundle.min.mjs";

const WARM_UP_CALLS = 10;

/**
 * Loads both sides.
 *
 * @param {string} sha256 - Of our file.
 * @param {number} threads
 */
export async function load(sha256, threads) {
  const engine = new Engine("wasm");
  await engine.fetchModel({ sha256, answers: false }, () => {});
  const ours = await engine.model(sha256, threads);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("./ort/", location.href).href;
  const theirs = await ort.InferenceSession.create("peer.onnx", { executionProviders: ["wasm"] });
  return { ours, theirs };
}

/**
 * Blocks of latencies in ms of both sides at one length; who begins alternates.
 *
 * @returns {{ours: number[][], theirs: number[][]}}
 */
export async function compare({ ours, theirs }, length, blocks, calls) {
  const sides = { ours: ours.call(`tokens_${length}`), theirs: peerCall(theirs, length) };
  const times = { ours: [], theirs: [] };
  for (const call of Object.values(sides)) await repeat(call, WARM_UP_CALLS);
  for (let block = 0; block < blocks; block += 1) {
    const order = block % 2 ? ["theirs", "ours"] : ["ours", "theirs"];
    for (const side of order) times[side].push(await repeat(sides[side], calls));
    await new Promise((resolve) => setTimeout(resolve));
  }
  return times;
}

function peerCall(session, length) {
  const feed = (value) => new BigInt64Array(length).map(() => value());
  const values = {
    input_ids: feed(() => BigInt(Math.floor(Math.random() * 100))),
    attention_mask: feed(() => 1n),
    token_type_ids: feed(() => 0n),
  };
  return async () => {
    const feeds = {};
    for (const [name, data] of Object.entries(values)) {
      feeds[name] = new ort.Tensor("int64", data, [1, length]);
    }
    const [output] = Object.values(await session.run(feeds));
    return output.data;
  };
}

async function repeat(call, times) {
  const latencies = [];
  for (let count = 0; count < times; count += 1) {
    const start = performance.now();
    await call();
    latencies.push(performance.now() - start);
  }
  return latencies;
}

globalThis.benchmark = { load, compare };
