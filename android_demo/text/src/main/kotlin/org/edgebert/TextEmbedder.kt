package org.edgebert

import kotlin.math.sqrt

/** A vector of a text, near those of texts that mean the like: sentence embedding models. */
public class TextEmbedder private constructor(file: ModelFile) : TextModel(file) {
    private val prompt = file.decoding.stringOr("prompt", "")

    /**
     * The vector of a text, as the model gives it. The prompt of the model is put before the text. What is longer than the model reads is cut.
     *
     * @throws IllegalStateException the model was closed.
     */
    public fun embed(text: String): FloatArray = locked { outputOf(runOn(prompt + text, null)).copyOf() }

    /** The cosine of the vectors of two texts, from -1 to 1. */
    public fun similarity(text: String, other: String): Double = cosine(embed(text), embed(other))

    /** The vectors of texts, to be searched. It takes one call of the model a text. */
    public fun index(texts: List<String>): TextIndex = TextIndex(texts, texts.map(::embed))

    public companion object : ModelOpener<TextEmbedder> {
        internal val TASKS = listOf("embeddings")

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): TextEmbedder =
            opened(file, engines, TASKS, listOf("embedding")) { TextEmbedder(file) }

        /**
         * The cosine of two vectors, from -1 to 1; 0 where one is all zeros.
         *
         * @throws IllegalArgumentException they are not of one size.
         */
        @JvmStatic
        public fun cosine(a: FloatArray, b: FloatArray): Double {
            require(a.size == b.size) { "Expected vectors of one size. Received: ${a.size} and ${b.size} numbers." }
            var product = 0.0
            for (index in a.indices) product += a[index].toDouble() * b[index]
            val lengths = length(a) * length(b)
            return if (lengths > 0) product / lengths else 0.0
        }

        internal fun length(vector: FloatArray): Double {
            var sum = 0.0
            for (number in vector) sum += number.toDouble() * number
            return sqrt(sum)
        }
    }
}

/**
 * Texts and their vectors. Every cosine is computed, so nothing is missed.
 *
 * @property texts that are searched.
 * @param vectors of the texts, of [TextEmbedder.embed].
 * @throws IllegalArgumentException there are not as many vectors as texts, or not of one size.
 */
public class TextIndex(public val texts: List<String>, vectors: List<FloatArray>) {
    private val size = if (vectors.isEmpty()) 0 else vectors[0].size
    private val rows = FloatArray(vectors.size * size) // of length 1

    init {
        require(vectors.size == texts.size && vectors.all { it.size == size }) {
            "Expected a vector for each of ${texts.size} texts, all of one size. Received: ${vectors.size}, of " +
                "${vectors.map { it.size }.distinct()} numbers."
        }
        for ((row, vector) in vectors.withIndex()) unit(vector).copyInto(rows, row * size)
    }

    /**
     * The texts nearest to a vector, the nearest first; equals in the order of [texts].
     *
     * @param query of [TextEmbedder.embed].
     * @param top how many texts at most.
     * @throws IllegalArgumentException the vector is of another size.
     */
    @JvmOverloads
    public fun search(query: FloatArray, top: Int = 5): List<Hit> {
        require(texts.isEmpty() || query.size == size) {
            "Expected a vector of $size numbers. Received: ${query.size}. Next: make it with the same model."
        }
        val unit = unit(query)
        val cosines = DoubleArray(texts.size) { row ->
            var sum = 0.0
            for (index in 0 until size) sum += rows[row * size + index].toDouble() * unit[index]
            sum.toFloat().toDouble() + 0.0 // what is equal but for rounding stays in its order
        }
        return Scores.largest(cosines, top).map { Hit(it, cosines[it], texts[it]) }
    }

    private fun unit(vector: FloatArray): FloatArray {
        val length = TextEmbedder.length(vector)
        return FloatArray(vector.size) { if (length > 0) (vector[it] / length).toFloat() else vector[it] }
    }
}
