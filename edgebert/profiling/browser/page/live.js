/** A sentence in, the model's answer out, while it is typed. All in this page: nothing is sent. */

import { figure } from "./drawing.js";

const SHOWN_LABELS = 5;

/**
 * Shows the section where a person types, and answers from then on.
 *
 * @param {HTMLElement} section
 * @param {Engine} engine - With the models compiled.
 * @param {Array<object>} models - Classifiers; the first is chosen.
 */
export function startLive(section, engine, models) {
  const find = (id) => section.querySelector(`#${id}`);
  const input = find("text");
  const choice = find("model");
  models.forEach(({ name, sha256 }) => choice.append(new Option(name, sha256)));
  find("choice").hidden = models.length === 1;
  let busy = false;
  let stale = false;

  async function answer() {
    stale = true;
    if (busy) return; // it looks again when it is done
    busy = true;
    while (stale) {
      stale = false;
      const text = input.value;
      if (text.trim()) show(section, await classify(engine, choice.value, text));
      else clear(section);
    }
    busy = false;
  }

  input.addEventListener("input", answer);
  choice.addEventListener("change", answer);
  section.hidden = false;
}

async function classify(engine, sha256, text) {
  const model = await engine.model(sha256, engine.threads);
  const start = performance.now();
  const { scores, tokenIds, length } = await model.classify(text);
  const ms = performance.now() - start;
  const { labels, tokens } = model.rules;
  const ranked = labels
    .map((name, place) => ({ name, score: scores[place] }))
    .sort((one, other) => other.score - one.score)
    .slice(0, SHOWN_LABELS);
  return { ranked, tokens: Array.from(tokenIds, (id) => tokens[id]), length, ms };
}

function show(section, { ranked, tokens, length, ms }) {
  const bars = ranked.map(({ name, score }) => {
    const bar = document.createElement("div");
    bar.className = "bar";
    const filled = document.createElement("progress");
    filled.value = score;
    bar.append(part("label", name), filled, part("share", `${(100 * score).toFixed(1)} %`));
    return bar;
  });
  section.querySelector("#bars").replaceChildren(...bars);
  section.querySelector("#tokens").replaceChildren(...tokens.map((token) => part("token", token)));
  section.querySelector("#took").textContent =
    `${tokens.length} tokens, run at ${length}, in ${figure(ms)} ms from text to label.`;
}

function clear(section) {
  for (const id of ["bars", "tokens", "took"]) section.querySelector(`#${id}`).replaceChildren();
}

function part(name, text) {
  const node = document.createElement("span");
  node.className = name;
  node.textContent = text;
  return node;
}
