package org.edgebert

/** The tables of a vocabulary that texts are split by. Threads may share it. */
internal interface SplitterTables {
    /** Looked for in the text as it is. */
    val rawTokens: WholeTokens

    /** Looked for in what the rules make of the text. */
    val normalTokens: WholeTokens

    /** How many separators stand between two texts. */
    val pairSeparators: Int

    /** The segment id of the second of two texts. */
    val secondSegment: Int

    /** The character for a space at the start of tokens; empty if they have none. */
    val space: String

    fun splitter(): Splitter

    /** The places of the tokens that start a part of a text: a word, a punctuation mark or the like. */
    fun partStarts(tokens: TokenList): IntArray
}

/**
 * Splits texts into the tokens of a vocabulary.
 *
 * It keeps what it works on from text to text, so a thread has one of its own.
 */
internal abstract class Splitter(private val tables: SplitterTables) {
    private val addRaw = WholeTokens.Visitor(::addRaw)
    private val addNormal = WholeTokens.Visitor(::addNormal)
    private var found = TokenList()
    private var limit = 0
    private var text = ""

    /** The code points of the text. */
    protected val codes = CodeList()

    /** What the rules make of a part of it. */
    protected var normal = codes
        private set

    /** Whether there are as many tokens as were asked for. */
    protected val isFull: Boolean get() = found.size >= limit

    /**
     * Splits a text.
     *
     * @param text any text.
     * @param limit it may stop when there are so many tokens.
     * @param into the tokens are added to it.
     */
    open fun split(text: String, limit: Int, into: TokenList) {
        this.text = text
        this.limit = limit
        found = into
        decode(text, codes)
        tables.rawTokens.split(codes, addRaw)
        this.text = ""
    }

    /** Applies the text rules to a part of [codes]. */
    protected abstract fun normalize(start: Int, end: Int): CodeList

    /** Adds the tokens of a part of [normal]. */
    protected abstract fun addWords(start: Int, end: Int)

    /** Adds a token that is a part of a list. */
    protected fun add(id: Int, list: CodeList, start: Int, end: Int) {
        val last = list.places[end - 1]
        found.add(id, list.places[start], last + unitsAt(text, last))
    }

    /** How many tokens there are, and back to that number. */
    protected fun mark(): Int = found.size

    protected fun reset(mark: Int) = found.cut(mark)

    private fun addRaw(id: Int, start: Int, end: Int) {
        if (isFull) return
        if (id >= 0) return add(id, codes, start, end)
        normal = normalize(start, end)
        if (tables.normalTokens.isEmpty) {
            addWords(0, normal.size)
        } else {
            tables.normalTokens.split(normal, addNormal)
        }
    }

    private fun addNormal(id: Int, start: Int, end: Int) {
        if (id < 0) addWords(start, end) else add(id, normal, start, end)
    }
}

/** Writes the code points of a text and their places; a lone surrogate is U+FFFD. */
internal fun decode(text: String, into: CodeList) {
    into.clear(text.length)
    var place = 0
    while (place < text.length) {
        val character = text[place]
        if (!character.isSurrogate()) {
            into.add(character.code, place++)
        } else if (unitsAt(text, place) == 2) {
            into.add(codePoint(character, text[place + 1]), place)
            place += 2
        } else {
            into.add(Characters.REPLACEMENT, place++)
        }
    }
}

/** The code points of a text. */
internal fun decoded(text: String): IntArray {
    val list = CodeList()
    decode(text, list)
    return list.codes.copyOf(list.size)
}

/** UTF-16 code units of the code point at a place. */
internal fun unitsAt(text: String, place: Int): Int {
    val isPair = text[place].isHighSurrogate() && place + 1 < text.length && text[place + 1].isLowSurrogate()
    return if (isPair) 2 else 1
}

