package org.edgebert

/** A tag for each word, and entities: named entity recognition and part-of-speech models. */
public class TokenTagger private constructor(file: ModelFile) : TextModel(file) {
    /** The tags, in the model's order. */
    public val tags: List<String> get() = file.labels

    /** Whether tags are those of entities. */
    public val findsEntities: Boolean = file.task == ENTITIES

    private val overlap = file.decoding.doubleOr("window_overlap", 0.25)
    private val givesProbabilities = file.output == Scores.PROBABILITIES
    private val shares = DoubleArray(tags.size)

    init {
        if (tags.isEmpty() || file.maxLength < 3) throw ModelException("it has no tags, or no room for a token")
    }

    /**
     * Tags the words of a text of any length; a long one is read in windows.
     *
     * @throws IllegalStateException the model was closed.
     */
    public fun tag(text: String): Tagging = locked {
        val parts = read(text)
        val places = wordsOf(text, parts)
        tagged(text, places, parts, IntArray(parts.size) { it })
    }

    /**
     * Tags words that are split already.
     *
     * @return the words' places are those in the text that has one space between two words.
     * @throws IllegalStateException the model was closed.
     */
    public fun tag(words: List<String>): Tagging = locked {
        val text = words.joinToString(" ")
        val starts = IntArray(words.size)
        for (word in 1 until words.size) starts[word] = starts[word - 1] + words[word - 1].length + 1
        val parts = read(text)
        val wordOf = IntArray(parts.size) { part ->
            val found = starts.binarySearch(first.starts[parts[part]])
            if (found >= 0) lastOf(starts, found) else -found - 2
        }
        tagged(text, List(words.size) { Place(starts[it], starts[it] + words[it].length) }, parts, wordOf)
    }

    /** The last word that starts there: empty words start where the next one does. */
    private fun lastOf(starts: IntArray, word: Int): Int {
        var last = word
        while (last + 1 < starts.size && starts[last + 1] == starts[word]) last++
        return last
    }

    /** Splits a text into [first], and gives the places there of the tokens that begin a part. */
    private fun read(text: String): IntArray {
        tokenizer.split(text, Int.MAX_VALUE, first)
        return tokenizer.partStarts(first)
    }

    /** Start and end of the words of a typed text: each part is one. */
    private fun wordsOf(text: String, parts: IntArray): List<Place> = parts.indices.map { part ->
        var last = (if (part + 1 < parts.size) parts[part + 1] else first.size) - 1
        while (first.starts[last] == first.ends[last]) last-- // a space alone
        var end = first.ends[last]
        while (end < text.length) {
            val units = unitsAt(text, end)
            val code = if (units == 2) codePoint(text[end], text[end + 1]) else text[end].code
            if (!Characters.isNonspacingMark(code)) break
            end += units
        }
        Place(first.starts[parts[part]], end)
    }

    /**
     * Runs the model and takes each word's tag from the first token of its first part.
     *
     * @param places of the words, start and end.
     * @param parts where each begins among the tokens.
     * @param wordOf the word that each part belongs to.
     */
    private fun tagged(text: String, places: List<Place>, parts: IntArray, wordOf: IntArray): Tagging {
        val best = IntArray(places.size) { -1 }
        val scores = DoubleArray(places.size)
        var part = 0
        for (window in Windows.overlapping(first.size, file.maxLength, overlap)) {
            val output = outputOf(run(first, window.from, window.to))
            while (part < parts.size && parts[part] < window.readTo) {
                val word = wordOf[part]
                if (part == 0 || wordOf[part - 1] != word) {
                    val row = parts[part] - window.from + 1
                    Scores.logits(output, row * tags.size, shares, givesProbabilities)
                    Scores.softmax(shares)
                    best[word] = Scores.best(shares)
                    scores[word] = shares[best[word]]
                }
                part++
            }
        }
        val words = places.mapIndexed { word, place ->
            val tag = if (best[word] < 0) null else tags[best[word]]
            TaggedWord(text.substring(place.start, place.end), tag, place.start, place.end, scores[word])
        }
        return Tagging(words, if (findsEntities) Entities.of(text, words) else emptyList())
    }

    public companion object : ModelOpener<TokenTagger> {
        private const val ENTITIES = "ner"
        internal val TASKS = listOf(ENTITIES, "pos")

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): TokenTagger =
            opened(file, engines, TASKS, listOf(Scores.PROBABILITIES, Scores.LOGITS)) { TokenTagger(file) }
    }
}

/** Entities of tags in IOB2, as conlleval reads them; IOBES and BILOU are read as IOB2. */
internal object Entities {
    private const val OUTSIDE = "O"

    fun of(text: String, words: List<TaggedWord>): List<Entity> {
        val found = ArrayList<Entity>()
        var start = 0
        var type = ""
        for (place in 0..words.size) {
            val tag = (if (place < words.size) words[place].tag else null) ?: OUTSIDE
            val newType = typeOf(tag)
            if (newType.isNotEmpty() && newType == type && isInside(tag)) continue
            if (type.isNotEmpty()) found.add(entity(text, type, words.subList(start, place)))
            start = place
            type = newType
        }
        return found
    }

    private fun typeOf(tag: String): String = tag.substringAfter('-', "")

    private fun isInside(tag: String): Boolean = when (tag.substringBefore('-')) {
        "I", "E", "L" -> true
        else -> false
    }

    private fun entity(text: String, type: String, words: List<TaggedWord>): Entity {
        val start = words.first().start
        val end = words.last().end
        return Entity(text.substring(start, end), type, start, end, words.sumOf { it.score } / words.size)
    }
}
