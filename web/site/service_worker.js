/**
 * Keeps the page, the runtime and the models, so that the page opens without a network.
 *
 * The small files are kept when the page is first opened; the runtime's build and the models when
 * the page loads them. `edgebert web` writes the version and the files in.
 */

const VERSION = "{version}";
/** Of the page. */
const SMALL = "{small}";
/** Kept when they are first loaded. */
const LARGE = "{large}";
/** Several pages of one host share the caches, so the folder is in the name. */
const PREFIX = `edgebert ${registration.scope} `;
const CACHE = PREFIX + VERSION;

const addressOf = (path) => new URL(path, registration.scope).href;
const kept = new Set([...SMALL, ...LARGE].map(addressOf));

addEventListener("install", (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) => {
      return cache.addAll(SMALL.map((path) => new Request(addressOf(path), { cache: "reload" })));
    }),
  );
});

addEventListener("activate", (event) => {
  event.waitUntil(removeOldVersions().then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const address = event.request.url.replace(/[?#].*$/, "");
  if (event.request.method === "GET" && kept.has(address)) {
    event.respondWith(answer(event, address));
  }
});

async function removeOldVersions() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function answer(event, address) {
  const cache = await caches.open(CACHE);
  const known = await cache.match(address);
  if (known) return known;
  const response = await fetch(event.request);
  if (response.status === 200) {
    const copy = response.clone();
    // A full storage refuses it: the page works on, with a network.
    event.waitUntil(cache.put(address, copy).catch((error) => console.warn(error)));
  }
  return response;
}
