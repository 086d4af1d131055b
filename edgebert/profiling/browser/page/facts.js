/** What the browser tells about itself and its device. */

const STORAGE_KEY = "edgebert-device";
const CLOCK_STEPS = 20;
const CLOCK_LOOK_MS = 300;

/**
 * All facts that the session asks for; see `Facts` in browser_answers.py.
 *
 * @param {boolean} relaxedSimd - Whether WebAssembly has relaxed SIMD.
 */
export async function readFacts(relaxedSimd) {
  const hints = await clientHints();
  const battery = await quietly(() => navigator.getBattery?.());
  return {
    device: deviceId(),
    user_agent: navigator.userAgent.slice(0, 2000),
    ...hints,
    cores: navigator.hardwareConcurrency || 1,
    memory_gb: navigator.deviceMemory ?? null,
    secure: isSecureContext,
    isolated: Boolean(globalThis.crossOriginIsolated),
    shared_memory: typeof SharedArrayBuffer === "function",
    relaxed_simd: relaxedSimd,
    clock_ms: clockStep(),
    webgpu: await webgpuAdapter(),
    battery: battery?.level ?? null,
    charging: battery?.charging ?? null,
  };
}

/** The smallest step of `performance.now()`, in ms. */
export function clockStep() {
  const begin = performance.now();
  let smallest = Infinity;
  let last = begin;
  for (let steps = 0; steps < CLOCK_STEPS && last - begin < CLOCK_LOOK_MS; ) {
    const now = performance.now();
    if (now > last) {
      smallest = Math.min(smallest, now - last);
      last = now;
      steps += 1;
    }
  }
  // Steps are multiples of 5 us at the finest; what lies between is rounding of the number.
  return Math.max(0.001, Math.round(smallest * 1000) / 1000);
}

async function clientHints() {
  const known = navigator.userAgentData;
  const asked = ["model", "platformVersion", "architecture", "bitness", "fullVersionList"];
  const values = (await quietly(() => known?.getHighEntropyValues(asked))) ?? {};
  // Browsers list themselves, what they are built on, and a made-up name that keeps sites honest.
  const brands = (values.fullVersionList ?? known?.brands ?? []).filter(
    ({ brand }) => !/not.*brand|^chromium$/i.test(brand),
  );
  const { brand, version } = brands[0] ?? {};
  return {
    platform: text(values.platform ?? known?.platform),
    platform_version: text(majorVersion(values.platformVersion)),
    model: text(values.model),
    architecture: text(values.architecture),
    bitness: text(values.bitness),
    browser: brand ? text(`${brand.replace("Google ", "")} ${majorVersion(version)}`) : "",
  };
}

async function webgpuAdapter() {
  const adapter = await quietly(() => navigator.gpu?.requestAdapter());
  if (!adapter) return "";
  const { vendor, architecture, device, description } = adapter.info ?? {};
  return text([vendor, architecture, device, description].filter(Boolean).join(" ") || "unnamed");
}

/** Random, and the same for all pages of this browser. */
function deviceId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  const fresh = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const known = localStorage.getItem(STORAGE_KEY);
    if (/^[0-9a-f]{24}$/.test(known ?? "")) return known;
    localStorage.setItem(STORAGE_KEY, fresh);
  } catch {
    // No storage in this browser's private mode: then each page is a device of its own.
  }
  return fresh;
}

/** What a promise gives; undefined where the browser refuses to tell. */
async function quietly(ask) {
  try {
    return await ask();
  } catch {
    return undefined;
  }
}

function majorVersion(version) {
  return String(version ?? "").split(".")[0];
}

function text(value) {
  return String(value ?? "").slice(0, 200);
}
