/** Answers as elements of a page, task by task, and as a line that a screen reader says. */

/** @typedef {import("edgebert").Model} Model */

const SHOWN_LABELS = 5;
const SHOWN_TOKENS = 5;
const SHOWN_ANSWERS = 3;
const COLOURS = 6;
const NO_ANSWER = "No answer in the text";

/** @type {Record<string, (model: Model, texts: string[], answer: any) => Node[]>} */
const DRAW = {
  classification: drawLabels,
  pairs: drawLabels,
  "multi-label": drawLabels,
  regression: (model, texts, { score }) => [make("p", "figure", score.toFixed(3))],
  ner: drawEntities,
  pos: drawTags,
  qa: drawSpans,
  embeddings: drawHits,
  "masked-lm": drawMasks,
};

/** @type {Record<string, (answer: any) => string>} */
const SAY = {
  classification: ({ label, probability }) => `${label}, ${percent(probability)}`,
  pairs: ({ label, probability }) => `${label}, ${percent(probability)}`,
  "multi-label": ({ labels }) => labels.join(", ") || "No label",
  regression: ({ score }) => `Score ${score.toFixed(3)}`,
  ner: ({ entities }) =>
    entities.map((/** @type {any} */ { type, text }) => `${type}: ${text}`).join("; ") || "No entities",
  pos: ({ words }) => `${words.length} words`,
  qa: ({ answers: [{ text }] }) => text || NO_ANSWER,
  embeddings: ({ hits: [hit] }) => (hit ? `Nearest: ${hit.text}` : "No lines to search"),
  "masked-lm": ({ filled, masks }) => (masks.length ? filled : "Write [MASK] where a word is missing."),
};

/**
 * An answer in one line.
 *
 * @param {Model} model
 * @param {any} answer
 */
export function announcement(model, answer) {
  return SAY[model.task](answer);
}

/**
 * An answer as elements.
 *
 * @param {Model} model
 * @param {string[]} texts - What was asked.
 * @param {any} answer
 * @returns {Node[]}
 */
export function drawAnswer(model, texts, answer) {
  return DRAW[model.task](model, texts, answer);
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawLabels({ labels }, texts, { probabilities, labels: given }) {
  const ranked = labels
    .map((name) => ({ name, share: probabilities[name], isGiven: given?.includes(name) }))
    .sort((one, other) => other.share - one.share);
  const shown = Math.max(SHOWN_LABELS, given?.length ?? 0);
  return ranked.slice(0, shown).map(({ name, share, isGiven }) => {
    const bar = drawBar(name, share, percent(share));
    if (isGiven) bar.classList.add("given");
    return bar;
  });
}

/** @param {string} name @param {number} share - From 0 to 1. @param {string} value */
function drawBar(name, share, value) {
  const bar = make("div", "bar");
  const filled = document.createElement("progress");
  filled.value = Math.min(1, Math.max(0, share));
  filled.setAttribute("aria-label", name);
  bar.append(make("span", "label", name), filled, make("span", "share", value));
  return bar;
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawEntities({ labels }, texts, { text, entities }) {
  const types = [...new Set(labels.map((label) => label.slice(label.indexOf("-") + 1)))];
  const parts = entities.map((/** @type {any} */ { start, end, type }) => {
    const mark = make("mark", `type-${types.indexOf(type) % COLOURS}`, text.slice(start, end));
    mark.append(make("span", "type", type));
    return { start, end, mark };
  });
  return [paragraph(text, parts)];
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawTags({ labels }, texts, { words }) {
  const line = make("p", "marked tags");
  for (const { text, tag } of words) {
    const mark = make("span", `word type-${labels.indexOf(tag) % COLOURS}`, text);
    mark.append(make("span", "type", tag ?? "?"));
    line.append(mark, " ");
  }
  return [line];
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawSpans(model, [, context], { answers }) {
  const [best, ...others] = answers;
  const title = make("p", "best", best.text || NO_ANSWER);
  title.append(make("span", "share", percent(best.score)));
  const parts = best.text
    ? [{ ...best, mark: make("mark", "type-0", best.text) }]
    : [];
  const list = make("ol", "others");
  list.start = 2;
  for (const { text, score } of others.slice(0, SHOWN_ANSWERS)) {
    const item = make("li", "", text || NO_ANSWER);
    item.append(make("span", "share", percent(score)));
    list.append(item);
  }
  const shown = others.length ? [list] : [];
  return [title, paragraph(context, parts), ...shown];
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawHits(model, texts, { hits }) {
  const list = make("ol", "hits");
  for (const { text, cosine } of hits) {
    const item = make("li", "", text);
    item.append(drawBar("Cosine", cosine, cosine.toFixed(3)));
    list.append(item);
  }
  return [list];
}

/** @param {Model} model @param {string[]} texts @param {any} answer */
function drawMasks(model, texts, { filled, masks }) {
  const groups = masks.flatMap((/** @type {any} */ { tokens }, /** @type {number} */ number) => {
    const title = make("h3", "", masks.length > 1 ? `[MASK] ${number + 1}` : "[MASK]");
    const bars = tokens
      .slice(0, SHOWN_TOKENS)
      .map((/** @type {any} */ { token, probability }) => {
        return drawBar(token, probability, percent(probability));
      });
    return [title, ...(bars.length ? bars : [make("p", "", "Not read: the text is too long.")])];
  });
  return masks.length ? [make("p", "best", filled), ...groups] : [];
}

/**
 * A text with marked parts.
 *
 * @param {string} text
 * @param {{start: number, end: number, mark: Node}[]} parts - In order, none in another.
 */
function paragraph(text, parts) {
  const line = make("p", "marked");
  let done = 0;
  for (const { start, end, mark } of parts) {
    line.append(text.slice(done, start), mark);
    done = end;
  }
  line.append(text.slice(done));
  return line;
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} kind
 * @param {string} name - Of its class.
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
function make(kind, name, text = "") {
  const node = document.createElement(kind);
  if (name) node.className = name;
  node.textContent = text;
  return node;
}
