package org.edgebert

/** The tables of a vocabulary that texts are split by. Threads may share it. */
internal class SplitterTables(val vocabulary: Vocabulary, settings: TokenizerSettings) {
    val rules = TextRules(settings.lowercase, settings.stripAccents, settings.splitChinese)
    val longestWord = settings.longestWord
    val unknownId: Int = vocabulary.idOf(settings.unknownToken)

    /** Looked for in the text as it is. */
    val rawTokens: WholeTokens

    /** Looked for in what the rules make of the text. */
    val normalTokens: WholeTokens

    /** Pieces that begin a word. */
    val starts: PieceTable

    /** Pieces that go on with a word. */
    val rests: PieceTable

    init {
        val whole = settings.wholeTokens(vocabulary)
        rawTokens = WholeTokens(whole.filter { !it.normalized }, ::decoded)
        normalTokens = WholeTokens(whole.filter { it.normalized }, ::normalized)
        val count = pieceCount(whole, settings.specialTokens)
        starts = PieceTable.of(vocabulary, count, "", skipsPrefix = false)
        rests = PieceTable.of(vocabulary, count, settings.continuingPrefix, skipsPrefix = true)
    }

    /** Added tokens at the end of the vocabulary are no pieces of words; special tokens are. */
    private fun pieceCount(whole: List<WholeToken>, special: List<String>): Int {
        val added = whole.filter { it.content !in special }.map { it.id }.toSet()
        var count = vocabulary.size
        while (count - 1 in added) count--
        return count
    }

    private fun decoded(content: String): IntArray {
        val text = CodeList()
        decode(content, text)
        return text.codes.copyOf(text.size)
    }

    private fun normalized(content: String): IntArray {
        val text = CodeList()
        decode(content, text)
        val result = rules.normalize(text, 0, text.size, TextRules.Work())
        return result.codes.copyOf(result.size)
    }
}

/**
 * Splits texts into the tokens of a vocabulary, by the six rules of tests/golden/README.md.
 *
 * It keeps what it works on from text to text, so a thread has one of its own.
 */
internal class Splitter(private val tables: SplitterTables) {
    private val codes = CodeList()
    private val work = TextRules.Work()
    private var hashes = IntArray(64)
    private var text = ""
    private var limit = 0
    private var found = TokenList()
    private var normal = codes
    private val addRaw = WholeTokens.Visitor(::addRaw)
    private val addNormal = WholeTokens.Visitor(::addNormal)

    /**
     * Splits a text.
     *
     * @param text any text.
     * @param limit it may stop when there are so many tokens.
     * @param into the tokens are added to it.
     */
    fun split(text: String, limit: Int, into: TokenList) {
        this.text = text
        this.limit = limit
        found = into
        decode(text, codes)
        tables.rawTokens.split(codes, addRaw)
        this.text = ""
    }

    private fun addRaw(id: Int, start: Int, end: Int) {
        if (found.size >= limit) return
        if (id >= 0) return found.add(id, codes.places[start], endOf(codes.places[end - 1]))
        normal = tables.rules.normalize(codes, start, end, work)
        if (tables.normalTokens.isEmpty) {
            addWords(0, normal.size)
        } else {
            tables.normalTokens.split(normal, addNormal)
        }
    }

    private fun addNormal(id: Int, start: Int, end: Int) {
        if (id < 0) return addWords(start, end)
        found.add(id, normal.places[start], endOf(normal.places[end - 1]))
    }

    /** Splits at white space and punctuation, and the words into pieces. */
    private fun addWords(start: Int, end: Int) {
        val codes = normal.codes
        var place = start
        while (place < end && found.size < limit) {
            val first = place++
            val flags = Characters.flagsOf(codes[first])
            if (flags and Characters.SPACE != 0) continue
            if (flags and Characters.PUNCTUATION == 0) {
                while (place < end && Characters.flagsOf(codes[place]) and BETWEEN_WORDS == 0) place++
            }
            if (place - first > tables.longestWord || !addPieces(first, place)) {
                found.add(tables.unknownId, normal.places[first], endOf(normal.places[place - 1]))
            }
        }
    }

    /** Adds the pieces of a word, the longest first, or says that no pieces make it up. */
    private fun addPieces(start: Int, end: Int): Boolean {
        val before = found.size
        var table = tables.starts
        var place = start
        while (place < end) {
            place = addLongest(table, place, minOf(end, place + table.longest))
            if (place < 0) {
                found.cut(before)
                return false
            }
            table = tables.rests
        }
        return true
    }

    /** Adds the longest piece that starts at a place, and gives its end; -1 where none does. */
    private fun addLongest(table: PieceTable, start: Int, last: Int): Int {
        val codes = normal.codes
        if (hashes.size < last - start) hashes = IntArray(2 * (last - start))
        var hash = 0
        for (index in start until last) {
            hash = PieceTable.hash(hash, codes[index])
            hashes[index - start] = hash
        }
        for (end in last downTo start + 1) {
            val id = table.find(hashes[end - 1 - start], codes, start, end)
            if (id >= 0) {
                found.add(id, normal.places[start], endOf(normal.places[end - 1]))
                return end
            }
        }
        return -1
    }

    private fun endOf(place: Int): Int = place + unitsAt(text, place)

    private companion object {
        const val BETWEEN_WORDS = Characters.SPACE or Characters.PUNCTUATION
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

/** UTF-16 code units of the code point at a place. */
internal fun unitsAt(text: String, place: Int): Int {
    val isPair = text[place].isHighSurrogate() && place + 1 < text.length && text[place + 1].isLowSurrogate()
    return if (isPair) 2 else 1
}

