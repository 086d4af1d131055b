package org.edgebert

/** Labels for a text or a pair of texts: classification, pairs and multi-label models. */
public class TextClassifier private constructor(file: ModelFile) : TextModel(file) {
    /** The labels, in the model's order. */
    public val labels: List<String> get() = file.labels

    /** Whether each label is decided for itself, so that a text may have several or none. */
    public val isMultiLabel: Boolean = file.task == MULTI_LABEL

    /** Whether it reads pairs of texts and nothing else. */
    public val needsPair: Boolean = file.task == PAIRS

    private val threshold = file.decoding.doubleOr("threshold", EVEN)
    private val givesProbabilities = file.output == Scores.PROBABILITIES
    private val shares = DoubleArray(labels.size)

    init {
        if (labels.isEmpty()) throw ModelException("it has no labels")
    }

    /**
     * Classifies a text, or a pair of texts. What is longer than the model reads is cut.
     *
     * @throws IllegalArgumentException the model reads pairs, and there is none.
     * @throws IllegalStateException the model was closed.
     */
    @JvmOverloads
    public fun classify(text: String, pair: String? = null): Classification {
        requirePair(this, needsPair, pair)
        locked {
            Scores.logits(outputOf(runOn(text, pair)), 0, shares, givesProbabilities, isMultiLabel)
            if (isMultiLabel) Scores.sigmoid(shares) else Scores.softmax(shares)
            return answer()
        }
    }

    private fun answer(): Classification {
        val all = ArrayList<LabelScore>(shares.size)
        for (index in shares.indices) all.add(LabelScore(labels[index], shares[index]))
        val best = all[Scores.best(shares)]
        val given = if (isMultiLabel) {
            all.filter { it.score > threshold }.sortedByDescending { it.score }
        } else {
            listOf(best)
        }
        return Classification(best.label, best.score, given, all)
    }

    public companion object : ModelOpener<TextClassifier> {
        private const val MULTI_LABEL = "multi-label"
        private const val PAIRS = "pairs"
        private const val EVEN = 0.5
        internal val TASKS = listOf("classification", PAIRS, MULTI_LABEL)

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): TextClassifier =
            opened(file, engines, TASKS, listOf(Scores.PROBABILITIES, Scores.LOGITS)) { TextClassifier(file) }
    }
}

internal fun requirePair(model: TextModel, needsPair: Boolean, pair: String?) {
    require(!needsPair || pair != null) {
        "Expected two texts: the model ${model.file.name} reads pairs. Received: one. Next: give the second one."
    }
}
