package org.edgebert

/**
 * A model of a task, over its file and an engine.
 *
 * Threads may share one: they take turns. [close] waits for a call that runs. A call after [close]
 * throws [IllegalStateException].
 */
public sealed class TextModel(
    /** The file that it was made of. */
    public val file: ModelFile,
    engines: EngineFactory,
) : AutoCloseable {
    /** Frees the runtime, after a call that runs has ended. A second call does nothing. */
    final override fun close(): Unit = TODO()

    public companion object {
        /**
         * The model of whatever task the file is for.
         *
         * @throws ModelException the file is a bare encoder, or of a task that is not known here.
         */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): TextModel = TODO()
    }
}

/** Labels for a text or a pair of texts: classification, pairs and multi-label models. */
public class TextClassifier private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /** The labels, in the model's order. */
    public val labels: List<String> get() = file.labels

    /** Whether each label is decided for itself, so that a text may have several or none. */
    public val isMultiLabel: Boolean get() = file.task == "multi-label"

    /** Whether it reads pairs of texts and nothing else. */
    public val needsPair: Boolean get() = file.task == "pairs"

    /**
     * Classifies a text, or a pair of texts. What is longer than the model reads is cut.
     *
     * @throws IllegalArgumentException the model reads pairs, and there is none.
     */
    @JvmOverloads
    public fun classify(text: String, pair: String? = null): Classification = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): TextClassifier = TODO()
    }
}

/** A number for a text or a pair of texts: regression models. */
public class TextScorer private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /** Whether it reads pairs of texts and nothing else. */
    public val needsPair: Boolean get() = TODO()

    /**
     * Scores a text, or a pair of texts, in the unit of the training data.
     *
     * @throws IllegalArgumentException the model reads pairs, and there is none.
     */
    @JvmOverloads
    public fun score(text: String, pair: String? = null): Double = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): TextScorer = TODO()
    }
}

/** A tag for each word, and entities: named entity recognition and part-of-speech models. */
public class TokenTagger private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /** The tags, in the model's order. */
    public val tags: List<String> get() = file.labels

    /** Whether tags are those of entities. */
    public val findsEntities: Boolean get() = file.task == "ner"

    /** Tags the words of a text of any length, which is read in windows. */
    public fun tag(text: String): Tagging = TODO()

    /** Tags words that are split already; places count in the words joined by one space each. */
    public fun tag(words: List<String>): Tagging = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): TokenTagger = TODO()
    }
}

/** The part of a context that answers a question: question answering models. */
public class QuestionAnswerer private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /**
     * Answers a question by a context of any length, which is read in windows.
     *
     * @return the likeliest answers, the best one first; at least one. Where the context may have no
     *   answer, that is one of them ([Answer.isNone]).
     */
    public fun answer(question: String, context: String): List<Answer> = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): QuestionAnswerer = TODO()
    }
}

/** A vector of a text, near those of texts that mean the like: sentence embedding models. */
public class TextEmbedder private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /** The vector of a text, as the model gives it. What is longer than the model reads is cut. */
    public fun embed(text: String): FloatArray = TODO()

    /** The cosine of the vectors of two texts, from -1 to 1. */
    public fun similarity(text: String, other: String): Double = TODO()

    /** The vectors of texts, to be searched. It takes one call of the model a text. */
    public fun index(texts: List<String>): TextIndex = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): TextEmbedder = TODO()
    }
}

/** Texts and their vectors. Every cosine is computed, so nothing is missed. */
public class TextIndex(
    /** What is searched. */
    public val texts: List<String>,
    vectors: List<FloatArray>,
) {
    /** The texts nearest to a vector of [TextEmbedder.embed], the nearest first. */
    @JvmOverloads
    public fun search(query: FloatArray, top: Int = 5): List<Hit> = TODO()
}

/** Tokens for each `[MASK]` of a text: masked language models. */
public class MaskFiller private constructor(file: ModelFile, engines: EngineFactory) :
    TextModel(file, engines) {
    /**
     * Fills each `[MASK]` of a text on its own. A mask that the model does not read, since the text is
     * too long or has more masks than the file answers, stays as it is.
     */
    public fun fill(text: String): FilledText = TODO()

    public companion object {
        /** @throws ModelException the file is of another task. */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(file: ModelFile, engines: EngineFactory): MaskFiller = TODO()
    }
}
