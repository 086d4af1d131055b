package org.edgebert

/** The tables of a WordPiece vocabulary. */
internal class WordPieceTables(private val vocabulary: Vocabulary, settings: WordPieceSettings) : SplitterTables {
    val rules = TextRules(settings.lowercase, settings.stripAccents, settings.splitChinese)
    val longestWord = settings.longestWord
    val unknownId: Int = vocabulary.idOf(settings.special.unknownToken)
    override val pairSeparators: Int get() = 1
    override val secondSegment: Int get() = 1
    override val space: String get() = ""
    private val continuingPrefix = settings.continuingPrefix

    override val rawTokens: WholeTokens

    override val normalTokens: WholeTokens

    /** Pieces that begin a word. */
    val starts: PieceTable

    /** Pieces that go on with a word. */
    val rests: PieceTable

    init {
        val whole = settings.special.wholeTokens(vocabulary)
        rawTokens = WholeTokens(whole.filter { !it.normalized }, ::decoded)
        normalTokens = WholeTokens(whole.filter { it.normalized }, ::normalized)
        val count = pieceCount(whole, settings.special.names)
        starts = PieceTable.of(vocabulary, count)
        rests = PieceTable.of(vocabulary, count, settings.continuingPrefix, skipsPrefix = true)
    }

    /** Added tokens at the end of the vocabulary are no pieces of words; special tokens are. */
    private fun pieceCount(whole: List<WholeToken>, special: List<String>): Int {
        val added = whole.filter { it.content !in special }.map { it.id }.toSet()
        var count = vocabulary.size
        while (count - 1 in added) count--
        return count
    }

    override fun splitter(): Splitter = WordPieceSplitter(this)

    override fun partStarts(tokens: TokenList): IntArray = tokens.placesWhere { place ->
        tokens.starts[place] < tokens.ends[place] && !continues(tokens.ids[place])
    }

    private fun continues(id: Int): Boolean =
        continuingPrefix.isNotEmpty() && vocabulary.startsWith(id, continuingPrefix)

    private fun normalized(content: String): IntArray {
        val text = CodeList()
        decode(content, text)
        val result = rules.normalize(text, 0, text.size, TextRules.Work())
        return result.codes.copyOf(result.size)
    }
}

/** Splits texts into the tokens of a WordPiece vocabulary, by the six rules of tests/golden/README.md. */
internal class WordPieceSplitter(private val tables: WordPieceTables) : Splitter(tables) {
    private val work = TextRules.Work()
    private var hashes = IntArray(64)

    override fun normalize(start: Int, end: Int): CodeList = tables.rules.normalize(codes, start, end, work)

    /** Splits at white space and punctuation, and the words into pieces. */
    override fun addWords(start: Int, end: Int) {
        val codes = normal.codes
        var place = start
        while (place < end && !isFull) {
            val first = place++
            val flags = Characters.flagsOf(codes[first])
            if (flags and Characters.SPACE != 0) continue
            if (flags and Characters.PUNCTUATION == 0) {
                while (place < end && Characters.flagsOf(codes[place]) and BETWEEN_WORDS == 0) place++
            }
            if (place - first > tables.longestWord || !addPieces(first, place)) {
                add(tables.unknownId, normal, first, place)
            }
        }
    }

    /** Adds the pieces of a word, the longest first, or says that no pieces make it up. */
    private fun addPieces(start: Int, end: Int): Boolean {
        val before = mark()
        var table = tables.starts
        var place = start
        while (place < end) {
            place = addLongest(table, place, minOf(end, place + table.longest))
            if (place < 0) {
                reset(before)
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
                add(id, normal, start, end)
                return end
            }
        }
        return -1
    }

    private companion object {
        const val BETWEEN_WORDS = Characters.SPACE or Characters.PUNCTUATION
    }
}
