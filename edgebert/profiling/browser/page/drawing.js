/** Draws a result: the figure that matters, and how latencies are spread, length by length. */

import { rowKey } from "./answers.js";
import { shortMs } from "./edgebert/site/view.js";

const WIDTH = 360;
const ROW_HEIGHT = 58;
const STRIP = { left: 0, right: WIDTH, top: 22, height: 26 };
const AXIS_HEIGHT = 24;
const BINS = 90;
/** The slowest calls may be far off; what they cost is in p99. */
const SHOWN_SHARE = 0.95;
const ROOM_AFTER_MEDIAN = 1.25;

/**
 * Fills the result's section.
 *
 * @param {HTMLElement} section
 * @param {object} result - `rows`, `checks`, `warnings`: what the session made of the run.
 * @param {Map<string, number[]>} latencies - In ms, by `rowKey`.
 */
export function drawResult(section, result, latencies) {
  const { rows, checks, warnings } = result;
  const first = rows.find((row) => row.kind === "end_to_end") ?? rows[0];
  const put = (id, text) => (section.querySelector(`#${id}`).textContent = text);
  if (first) {
    put("median", shortMs(first.p50_ms));
    put("caption", caption(first));
    section.querySelector("#chart").append(drawStrips(rows, latencies));
  }
  section.querySelector("#headline").hidden = !first;
  const facts = [...rows.filter(isFirstOfModel).map(startLine), ...checks.map(checkLine)];
  section.querySelector("#facts").append(...facts.map((text) => make("li", text)));
  const doubts = section.querySelector("#warnings");
  doubts.hidden = warnings.length === 0;
  doubts.querySelector("summary").textContent =
    warnings.length === 1 ? "1 thing to know" : `${warnings.length} things to know`;
  doubts.querySelector("ul").append(...warnings.map((text) => make("li", text)));
  section.hidden = false;
}

function caption(row) {
  const what = row.kind === "end_to_end" ? "from text to answer" : `for ${lengthName(row)}`;
  return `The median of ${row.runs} calls of ${row.name}, ${what}, ${threadsName(row)}.`;
}

function isFirstOfModel(row, place, rows) {
  return rows.findIndex((other) => other.model === row.model) === place;
}

function startLine(row) {
  return `${row.name} starts in ${shortMs(row.load_ms)} ms; the first call takes ${shortMs(row.first_call_ms)} ms.`;
}

function checkLine(check) {
  const agreement = check.label_agreement;
  const labels =
    agreement === null ? "" : ` ${(100 * agreement).toFixed(agreement === 1 ? 0 : 1)} % of the computer's choices,`;
  const ids = check.token_ids_equal ? "the same tokens" : "other tokens";
  return (
    `${check.name}, ${check.rows} texts:${labels} ${ids}, ` +
    `scores within ${check.max_score_error.toExponential(0)}: ` +
    `${check.passed ? "as it should be." : "not as it should be."}`
  );
}

/** One strip for each row: where its calls lie, on a scale that all share. */
function drawStrips(rows, latencies) {
  const calls = rows.map((row) => latencies.get(rowKey(row)) ?? []);
  const sorted = calls.map((values) => Float64Array.from(values).sort());
  const ends = sorted.map((values) => values[Math.floor(SHOWN_SHARE * (values.length - 1))] ?? 0);
  const scale = niceScale(Math.max(...ends, ...rows.map((row) => ROOM_AFTER_MEDIAN * row.p50_ms)));
  const height = rows.length * ROW_HEIGHT + AXIS_HEIGHT;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img" });
  svg.append(make("title", rows.map(describe).join("; "), "svg"));
  const x = (ms) => STRIP.left + (Math.min(ms, scale.end) / scale.end) * (STRIP.right - STRIP.left);
  const many = new Set(rows.map((row) => row.model)).size > 1;
  const models = [...new Set(rows.map((row) => row.model))];
  drawAxis(svg, scale, x, height);
  rows.forEach((row, place) => {
    const group = shape("g", { transform: `translate(0 ${place * ROW_HEIGHT})` });
    group.setAttribute("class", `series-${models.indexOf(row.model) % 4}`);
    const name = [many && row.name, lengthName(row), row.threads > 1 && threadsName(row)];
    group.append(label(0, 14, name.filter(Boolean).join(", "), "name"));
    group.append(label(WIDTH, 14, `${shortMs(row.p50_ms)} ms`, "value"));
    group.append(density(sorted[place], scale, x));
    const middle = x(row.p50_ms);
    const line = { x1: middle, x2: middle, y1: STRIP.top, y2: STRIP.top + STRIP.height };
    group.append(shape("line", { ...line, class: "median" }));
    svg.append(group);
  });
  return svg;
}

function describe(row) {
  return `${row.name}, ${lengthName(row)}, ${threadsName(row)}: median ${shortMs(row.p50_ms)} ms`;
}

/** How many calls lie where, as a hill; the tallest fills the strip. */
function density(values, scale, x) {
  const counts = new Array(BINS).fill(0);
  for (const value of values) {
    const bin = Math.floor((value / scale.end) * BINS);
    if (bin < BINS) counts[bin] += 1;
  }
  const smooth = counts.map(
    (count, bin) => ((counts[bin - 1] ?? 0) + 2 * count + (counts[bin + 1] ?? 0)) / 4,
  );
  const tallest = Math.max(...smooth, 1e-9);
  const bottom = STRIP.top + STRIP.height;
  const points = smooth.map((count, bin) => {
    const middle = x(((bin + 0.5) / BINS) * scale.end);
    return `${middle.toFixed(1)},${(bottom - (count / tallest) * STRIP.height).toFixed(1)}`;
  });
  const outline = `M0,${bottom} L${points.join(" ")} L${WIDTH},${bottom} Z`;
  return shape("path", { d: outline, class: "hill" });
}

function drawAxis(svg, scale, x, height) {
  for (let tick = 0; tick <= scale.end + 1e-9; tick += scale.step) {
    const place = x(tick);
    const bottom = height - AXIS_HEIGHT;
    svg.append(shape("line", { x1: place, x2: place, y1: STRIP.top, y2: bottom, class: "grid" }));
    const text = label(place, height - 8, `${Number(tick.toFixed(3))}`, "tick");
    if (tick === 0) text.classList.add("first");
    if (tick + scale.step > scale.end + 1e-9) text.classList.add("last");
    svg.append(text);
  }
  svg.querySelector(".tick.last").textContent += " ms";
}

/** An end just over `most` and a step that divides it, of 1, 2 or 5 times a power of ten. */
function niceScale(most) {
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  return { step, end: step * Math.ceil(most / step) };
}

function lengthName(row) {
  if (row.kind === "end_to_end") return "text to answer";
  return row.length ? `${row.length} tokens` : "one call";
}

function threadsName(row) {
  return row.threads === 1 ? "one thread" : `${row.threads} threads`;
}

function label(x, y, text, name) {
  const node = shape("text", { x, y, class: name });
  node.textContent = text;
  return node;
}

function shape(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function make(kind, text, family) {
  const node = family === "svg" ? shape(kind, {}) : document.createElement(kind);
  node.textContent = text;
  return node;
}
