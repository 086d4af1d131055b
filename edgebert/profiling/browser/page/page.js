/** Joins the session, answers its requests, and shows how far it is and what came out. */

import { Answers } from "./answers.js";
import { drawResult } from "./drawing.js";
import { readFacts } from "./facts.js";
import { startLive } from "./live.js";
import { nextTask } from "./timing.js";

const RETRY_MS = 1000;
const RETRIES = 30;
const SIGN_OF_LIFE_MS = 10_000;
/** Answers no request; the session gives its first. */
const NOTHING_YET = { number: 0, hidden: false, error: "", body: null };
const MOST_LOG_LINES = 3;

const element = (id) => document.getElementById(id);
const runtimeErrors = [];
let wasHidden = document.hidden;
let pageId = "";

/** The session doesn't want this page, or not any more; its words say why. */
class RefusedError extends Error {}

async function main() {
  listenToRuntime();
  document.addEventListener("visibilitychange", () => (wasHidden ||= document.hidden));
  const [{ Engine }, { hasRelaxedSimd }] = [await import("./engine.js"), await import("edgebert")];
  const facts = await readFacts(await hasRelaxedSimd());
  const session = await post("join", facts);
  pageId = session.page_id;
  addEventListener("pagehide", () => pageId && navigator.sendBeacon(`pages/${pageId}/left`, "{}"));
  element("device").textContent = session.device;
  await keepScreenOn();
  const engine = new Engine(session.accelerator);
  await fetchModels(engine, session.models);
  const answers = new Answers(engine, facts.clock_ms);
  const result = await serve(answers);
  element("progress").hidden = true;
  drawResult(element("result"), result, answers.latencies);
  const answering = session.models.filter((model) => model.answers);
  if (answering.length) await startLive(element("live"), engine, answering);
}

async function fetchModels(engine, models) {
  const total = models.reduce((sum, model) => sum + model.size_bytes, 0);
  let loaded = 0;
  let heard = performance.now();
  for (const model of models) {
    await engine.fetchModel(model, (bytes) => {
      loaded += bytes;
      if (performance.now() - heard > SIGN_OF_LIFE_MS) {
        heard = performance.now();
        post(`pages/${pageId}/next`, NOTHING_YET).catch(() => {}); // it is asked again later
      }
      show(`Loading ${megabytes(loaded)} of ${megabytes(total)} MB`, loaded / total);
    });
  }
  show("Starting the model", 0);
}

/** Answers requests until all is done; gives the result that the session made of it. */
async function serve(answers) {
  let answer = NOTHING_YET;
  for (;;) {
    const request = await postUntilHeard(`pages/${pageId}/next`, answer);
    if (request.op === "wait") {
      answer = { ...answer, body: null }; // it has arrived
    } else if (request.op === "done") {
      const last = { number: request.number, hidden: takeHidden(), error: "", body: null };
      const path = `pages/${pageId}/next`;
      pageId = "";
      post(path, last).catch(() => {}); // the session may be over before it answers
      return request;
    } else {
      const { stage, share } = request.progress;
      if (stage) show(stage, share);
      await nextTask(); // so that it is painted before the page is busy
      answer = await answerTo(answers, request);
    }
  }
}

async function answerTo(answers, request) {
  const { number, op } = request;
  try {
    const body = await answers[op](request);
    return { number, hidden: takeHidden(), error: "", body };
  } catch (error) {
    console.error(error);
    return { number, hidden: takeHidden(), error: inWords(error), body: null };
  }
}

function takeHidden() {
  const hidden = wasHidden;
  wasHidden = document.hidden;
  return hidden;
}

async function post(path, content) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(content),
  });
  const answer = await response.json();
  if (!response.ok) throw new RefusedError(answer.message);
  return answer;
}

/** Posts again where the network fails: the number in it makes that harmless. */
async function postUntilHeard(path, content) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await post(path, content);
    } catch (error) {
      if (error instanceof RefusedError) throw error;
      if (tries === RETRIES) throw new Error("The computer can't be reached any more.");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

/** The runtime logs what it can't do before it throws something shorter. */
function listenToRuntime() {
  const log = console.error;
  console.error = (...words) => {
    const line = words.join(" ");
    if (/^\s*ERROR/.test(line)) runtimeErrors.push(line.trim());
    log(...words);
  };
}

function inWords(error) {
  const log = runtimeErrors.splice(0).slice(-MOST_LOG_LINES);
  const message = typeof error === "number" ? "LiteRT.js failed" : error?.message || error;
  return [String(message), ...log].join("; ").slice(0, 2000);
}

async function keepScreenOn() {
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // A low battery forbids it; the page asks the person too.
  }
}

function show(stage, share) {
  element("stage").textContent = stage;
  element("share").value = share;
}

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

main().catch((error) => {
  console.error(error);
  pageId = "";
  element("progress").hidden = true;
  element("problem").hidden = false;
  element("problem-text").textContent = inWords(error);
});
