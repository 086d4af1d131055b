/** Times calls, as the benchmark program does on other machines (edgebert/profiling/runner.py). */

const TICKS_PER_SAMPLE = 100;
/** The network's pause before a block lets the processor's clock fall; this brings it up again. */
const RAMP_MS = 30;
const YIELD_MS = 500;

/**
 * Times each call of the list, the whole list again and again.
 *
 * It goes on past `runs` until `min_seconds` have passed, and stops before when `max_seconds` have
 * (never within the list, so every call weighs alike). Where a call is short beside the clock's
 * step, several of the same call are timed together.
 *
 * @param {Array<function(): Promise>} calls
 * @param {object} request - `warmup`, `runs` in calls; `min_seconds`, `max_seconds`.
 * @param {number} clockMs - The clock's step.
 */
export async function timeCalls(calls, request, clockMs) {
  const shortest = (request.min_seconds ?? 0) * 1e3;
  const longest = (request.max_seconds ?? Infinity) * 1e3;
  const callMs = await warmUp(calls, request.warmup ?? 0, shortest > 0 ? RAMP_MS : 0, longest);
  const together = Math.max(1, Math.ceil((TICKS_PER_SAMPLE * clockMs) / Math.max(callMs, 1e-4)));
  const samples = [];
  const begin = performance.now();
  let rested = begin;
  let paused = 0;
  let now = begin;
  const spent = () => now - begin - paused;
  for (let rounds = 0; ; rounds += 1) {
    const enough = rounds * together >= request.runs && spent() >= shortest;
    if (rounds > 0 && (enough || spent() >= longest)) break;
    for (const call of calls) {
      const start = performance.now();
      for (let count = 0; count < together; count += 1) await call();
      now = performance.now();
      samples.push(Math.max(now - start, clockMs));
    }
    if (now - rested > YIELD_MS) {
      await nextTask();
      rested = performance.now();
      paused += rested - now;
      now = rested;
    }
  }
  return { samples_ms: samples, calls_per_sample: together, wall_ms: Math.max(spent(), clockMs) };
}

/** Time of one call in ms, at least a step of the clock, and what it gave. */
export async function timeOnce(call, clockMs) {
  const start = performance.now();
  const result = await call();
  return [Math.max(performance.now() - start, clockMs), result];
}

/** Lets the browser paint and take input. */
export function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Makes calls that don't count; gives the mean time of one in ms. */
async function warmUp(calls, least, leastMs, longestMs) {
  const begin = performance.now();
  let made = 0;
  let spent = 0;
  while ((made < Math.max(1, least) || spent < leastMs) && spent <= longestMs) {
    await calls[made % calls.length]();
    made += 1;
    spent = performance.now() - begin;
  }
  return spent / made;
}
