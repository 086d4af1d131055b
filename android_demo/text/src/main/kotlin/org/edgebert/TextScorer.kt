package org.edgebert

/** A number for a text or a pair of texts: regression models. */
public class TextScorer private constructor(file: ModelFile) : TextModel(file) {
    /** Whether it reads pairs of texts and nothing else. */
    public val needsPair: Boolean = file.decoding.intOr("texts", 1) == 2

    // Of a model that somebody trained in other units; edgebert works them into the weights.
    private val mean = file.decoding.doubleOr("mean", 0.0)
    private val deviation = file.decoding.doubleOr("deviation", 1.0)

    /**
     * Scores a text, or a pair of texts, in the unit of the training data. What is longer than the model
     * reads is cut.
     *
     * @throws IllegalArgumentException the model reads pairs, and there is none.
     * @throws IllegalStateException the model was closed.
     */
    @JvmOverloads
    public fun score(text: String, pair: String? = null): Double {
        requirePair(this, needsPair, pair)
        return locked { outputOf(runOn(text, pair))[0].toDouble() * deviation + mean }
    }

    public companion object : ModelOpener<TextScorer> {
        internal val TASKS = listOf("regression")

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): TextScorer =
            opened(file, engines, TASKS, listOf("score")) { TextScorer(file) }
    }
}
