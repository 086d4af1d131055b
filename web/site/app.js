/** The page of `edgebert web`: loads the models, shows the view of answers, works offline. */

import { open } from "edgebert";

import { startView } from "./view.js";

const CONTROL_MS = 3000;
const CACHED_LOOKS = 40;
const LOOK_MS = 250;

const element = (id) => document.getElementById(id);

async function main() {
  const isControlled = await startServiceWorker();
  const { models } = await (await fetch("site.json")).json();
  const opened = new Map();
  const choices = models.map(({ name, file, size_bytes: size }) => {
    return { name, open: () => openOnce(opened, file, size) };
  });
  await startView(element("live"), choices);
  element("progress").hidden = true;
  element("offline").textContent = await offlineState(isControlled, models[0].file);
}

/** A model is compiled once; one that failed is tried again when it is chosen again. */
function openOnce(opened, file, size) {
  if (!opened.has(file)) {
    const wasm = new URL("./litertjs/wasm/", location.href);
    const onBytes = (loaded) => show("Loading the model", loaded / size);
    const model = open(file, { wasm, onBytes });
    model.catch(() => opened.delete(file));
    opened.set(file, model);
  }
  return opened.get(file);
}

/** Whether what is loaded from here on goes through the service worker, which keeps it. */
async function startServiceWorker() {
  const workers = navigator.serviceWorker;
  if (!workers) return false; // over http, or in a private window
  try {
    const controlled = new Promise((resolve) => {
      workers.addEventListener("controllerchange", resolve, { once: true });
      setTimeout(resolve, CONTROL_MS);
    });
    await workers.register("service_worker.js");
    if (!workers.controller) await controlled;
    return workers.controller !== null;
  } catch (error) {
    console.warn(error);
    return false;
  }
}

async function offlineState(isControlled, file) {
  if (!isControlled) return "";
  for (let look = 0; look < CACHED_LOOKS; look++) {
    if (await caches.match(new URL(file, location.href).href)) return "Works offline";
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  return "Needs a network next time: the browser did not keep the model, its storage may be full";
}

function show(stage, share) {
  element("stage").textContent = share < 1 ? stage : "Starting the model";
  element("share").value = Math.min(1, share);
}

main().catch((error) => {
  console.error(error);
  element("progress").hidden = true;
  element("problem").hidden = false;
  element("problem-text").textContent = String(error?.message ?? error);
});
