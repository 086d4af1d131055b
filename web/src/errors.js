/** What can be wrong with a model or a request; the message ends with what to do next. */

/** The file is no model that this library reads, or the browser's runtime does not take it. */
export class ModelError extends Error {
  name = "ModelError";
}

/** A request that the model can't answer, such as one text for a model of pairs. */
export class UsageError extends Error {
  name = "UsageError";
}
