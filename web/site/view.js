/** Where a person types, and the model's answer while they do. All in this page: nothing is sent. */

import { announcement, drawAnswer } from "./drawn_answers.js";

/** More is cut off, so that a page that takes a pasted book still answers. */
export const MOST_CHARACTERS = 20_000;
const SHOWN_TOKENS = 128;

const LINES = [
  "Where is the nearest charging station?",
  "The battery lasts two days.",
  "A recipe for lentil soup with lemon.",
  "How do I reset my password?",
  "The train to Berlin leaves at four.",
];
const ADA =
  "Ada Lovelace wrote the first published program in 1843. She translated an article about the " +
  "Analytical Engine, and her notes on it were three times as long as the article.";

/**
 * What a person types for each task: fields with a label and a text to begin with.
 *
 * @type {Record<string, {label: string, text: string, rows: number}[]>}
 */
const FIELDS = {
  classification: [field("A sentence", "I had a wonderful evening.")],
  pairs: [field("First text", "How old are you?"), field("Second text", "What is your age?")],
  "multi-label": [field("A sentence", "Turn off the lights and play some music.")],
  regression: [field("A text", "I had a wonderful evening.")],
  ner: [field("A sentence", "Book a table for four at Nopi in London tonight.", 3)],
  pos: [field("A sentence", "Book a table for four at Nopi tonight.")],
  qa: [field("Question", "What did Ada Lovelace translate?"), field("Text with the answer", ADA, 6)],
  embeddings: [
    field("Search for", "I forgot my login", 1),
    field("Lines to search, one text a line", LINES.join("\n"), 6),
  ],
  "masked-lm": [field("A sentence with [MASK] in it", "The capital of France is [MASK].")],
};

/** @param {string} label @param {string} text @param {number} [rows] */
function field(label, text, rows = 2) {
  return { label, text, rows };
}

const PARTS = `
  <label class="choice" hidden>Model <select></select></label>
  <div class="fields"></div>
  <p class="said" role="status"></p>
  <div class="answer"></div>
  <p class="took"></p>
  <details class="details" hidden><summary>Tokens</summary><p class="tokens"></p></details>`;

/**
 * @typedef {object} Choice - A model that a person can choose.
 * @property {string} name
 * @property {() => Promise<import("edgebert").Model>} open
 */

/**
 * Shows the fields of a model, and answers from then on.
 *
 * @param {HTMLElement} section - Hidden until the first answer is there.
 * @param {Choice[]} choices - The first is chosen.
 */
export async function startView(section, choices) {
  const view = new View(section, choices, await choices[0].open());
  await view.showFields();
  section.hidden = false;
}

class View {
  /** @type {HTMLTextAreaElement[]} */
  inputs = [];

  /**
   * @param {HTMLElement} section
   * @param {Choice[]} choices
   * @param {import("edgebert").Model} model - The first choice.
   */
  constructor(section, choices, model) {
    this.section = section;
    this.choices = choices;
    this.model = model;
    this.isBusy = false;
    this.isStale = false;
    /** @type {{lines: string, search: any} | null} */
    this.searched = null;
    section.insertAdjacentHTML("beforeend", PARTS);
    const chooser = this.find("choice");
    const select = /** @type {HTMLSelectElement} */ (chooser.querySelector("select"));
    choices.forEach(({ name }, number) => select.append(new Option(name, String(number))));
    chooser.hidden = choices.length === 1;
    select.addEventListener("change", () => this.choose(Number(select.value)));
  }

  /** @param {string} name @returns {HTMLElement} */
  find(name) {
    return /** @type {HTMLElement} */ (this.section.querySelector(`.${name}`));
  }

  /** @param {number} number */
  async choose(number) {
    try {
      this.model = await this.choices[number].open();
      this.searched = null;
      await this.showFields();
    } catch (error) {
      this.showError(error);
    }
  }

  /** @param {unknown} error */
  showError(error) {
    console.error(error);
    const said = this.find("said");
    said.classList.add("error");
    said.textContent = `That did not work: ${error instanceof Error ? error.message : error}`;
  }

  /** The fields of the chosen model, with texts to begin with. */
  async showFields() {
    const wanted = fieldsOf(this.model);
    this.inputs = wanted.map(({ text, rows }, place) => {
      const input = document.createElement("textarea");
      Object.assign(input, { rows, value: text, id: `text-${place}`, spellcheck: false });
      input.autocapitalize = "sentences";
      input.addEventListener("input", () => this.answer());
      return input;
    });
    const labels = wanted.map(({ label }, place) => {
      const node = document.createElement("label");
      node.textContent = label;
      node.htmlFor = `text-${place}`;
      return node;
    });
    this.find("fields").replaceChildren(...labels.flatMap((label, i) => [label, this.inputs[i]]));
    this.section.dataset.task = this.model.task;
    await this.answer();
  }

  async answer() {
    this.isStale = true;
    if (this.isBusy) return; // it looks again when it is done
    this.isBusy = true;
    try {
      while (this.isStale) {
        this.isStale = false;
        await this.answerOnce();
        await new Promise((resolve) => setTimeout(resolve)); // so that it is painted
      }
    } catch (error) {
      this.showError(error);
    } finally {
      this.isBusy = false;
    }
  }

  async answerOnce() {
    const texts = this.inputs.map((input) => input.value.slice(0, MOST_CHARACTERS));
    const isCut = this.inputs.some((input) => input.value.length > MOST_CHARACTERS);
    if (!texts[0].trim()) {
      for (const name of ["said", "answer", "tokens", "took"]) this.find(name).replaceChildren();
      this.find("details").hidden = true;
      return;
    }
    const { model } = this;
    const start = performance.now();
    const { answer, windows } =
      model.task === "embeddings" ? await this.search(texts) : await model.read(texts);
    const ms = performance.now() - start;
    this.find("said").classList.remove("error");
    this.find("said").textContent = announcement(model, answer);
    this.find("answer").replaceChildren(...drawAnswer(model, texts, answer));
    this.showDetails(model, windows, ms, isCut);
  }

  /**
   * Vectors of the lines are made once.
   *
   * @param {string[]} texts - The query, and lines.
   */
  async search([query, lines]) {
    const { model } = this;
    if (this.searched?.lines !== lines) {
      const list = [...new Set(lines.split("\n").map((line) => line.trim()))].filter(Boolean);
      this.searched = { lines, search: await model.index(list) };
    }
    const { windows, answer } = await model.read([query]);
    const hits = this.searched.search.vectors.nearest(answer.embedding, 5);
    return { windows, answer: { text: query, hits } };
  }

  /**
   * @param {import("edgebert").Model} model
   * @param {import("edgebert").Encoding[]} windows
   * @param {number} ms
   * @param {boolean} isCut
   */
  showDetails(model, windows, ms, isCut) {
    const ids = windows.flatMap(({ tokenIds }) => Array.from(tokenIds));
    const tokens = ids.slice(0, SHOWN_TOKENS).map((id) => {
      const token = document.createElement("span");
      token.className = "token";
      token.textContent = model.facts.tokens[id];
      return token;
    });
    const more = ids.length > SHOWN_TOKENS ? [` and ${ids.length - SHOWN_TOKENS} more`] : [];
    this.find("tokens").replaceChildren(...tokens, ...more);
    this.find("details").hidden = false;
    const read = windows.length > 1 ? `${ids.length} tokens in ${windows.length} parts` : `${ids.length} tokens`;
    const cut = isCut
      ? ` Only the first ${MOST_CHARACTERS.toLocaleString()} characters of a text are read here.`
      : "";
    this.find("took").textContent = `${read}, ${shortMs(ms)} ms from text to answer.${cut}`;
  }
}

/** @param {import("edgebert").Model} model */
function fieldsOf(model) {
  const wanted = FIELDS[model.task];
  return model.task === "regression" && model.texts[0] === 2 ? FIELDS.pairs : wanted;
}

/** A number of ms with three digits or so. */
/** @param {number} ms */
export function shortMs(ms) {
  if (ms >= 99.5) return ms.toFixed(0);
  return ms >= 9.95 ? ms.toFixed(1) : ms.toFixed(2);
}
