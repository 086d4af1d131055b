/** Where a person types once the figures are there: the view of answers over the session's models. */

import { startView } from "./edgebert/site/view.js";

/**
 * Shows the section, and answers from then on.
 *
 * @param {HTMLElement} section
 * @param {Engine} engine - With the models compiled.
 * @param {Array<{name: string, sha256: string}>} models - Those that answer; the first is chosen.
 */
export async function startLive(section, engine, models) {
  const choices = models.map(({ name, sha256 }) => {
    return { name, open: async () => (await engine.model(sha256, engine.threads)).texts };
  });
  await startView(section, choices);
}
