package org.edgebert

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.util.BitSet

/**
 * What a Unigram vocabulary has beside its tokens.
 *
 * @property scores of the first tokens, which are the pieces; all others are added tokens.
 * @property map the character map; null where there is none.
 */
internal class UnigramPieces(val scores: DoubleArray, val map: CharacterMap?) {
    companion object {
        /**
         * Reads the files of an archive.
         *
         * @param scores little-endian float64.
         * @param charsmap as SentencePiece has it; null where there is none.
         * @throws ModelException one of them is damaged.
         */
        fun read(scores: ByteArray, charsmap: ByteArray?): UnigramPieces {
            if (scores.size % Double.SIZE_BYTES != 0) {
                throw ModelException("expected 8 bytes for each score of a piece. Received: ${scores.size} bytes")
            }
            val numbers = DoubleArray(scores.size / Double.SIZE_BYTES)
            ByteBuffer.wrap(scores).order(ByteOrder.LITTLE_ENDIAN).asDoubleBuffer().get(numbers)
            return UnigramPieces(numbers, charsmap?.let(::CharacterMap))
        }
    }
}

/**
 * The tables of a Unigram vocabulary (Kudo 2018, "Subword Regularization").
 *
 * @throws ModelException the pieces, the scores and the rules don't agree.
 */
internal class UnigramTables(
    private val vocabulary: Vocabulary,
    settings: UnigramSettings,
    pieces: UnigramPieces,
) : SplitterTables {
    val scores: DoubleArray = pieces.scores
    val unknownId: Int = vocabulary.idOf(settings.special.unknownToken)
    val unknownScore: Double
    val prefixes = PrefixFilter(scores.size)
    val table: PieceTable
    val rules = UnigramRules(settings.steps, pieces.map)
    val splitsAtSpace: Boolean = settings.splitsAtSpace
    val splitsAtMark: Boolean = settings.splitsAtMark
    override val space: String = settings.replacement
    override val pairSeparators: Int = settings.pairSeparators
    override val secondSegment: Int = settings.secondSegment
    override val rawTokens: WholeTokens
    override val normalTokens: WholeTokens

    /** The code point that stands for a space. */
    val mark: Int
    private val scheme = settings.prependScheme
    private val isWhole = BitSet()

    init {
        val codes = decoded(space)
        if (codes.size != 1 || scheme !in SCHEMES || pairSeparators !in 1..2 || secondSegment !in 0..1) {
            throw ModelException(
                "expected a metaspace of one character, one of $SCHEMES, 1 or 2 separators and segment 0 or 1. " +
                    "Received: \"$space\", $scheme, $pairSeparators and $secondSegment. Next: update the library",
            )
        }
        if (scores.size > vocabulary.size || unknownId !in scores.indices) {
            throw ModelException(
                "expected scores of at most ${vocabulary.size} tokens, ${settings.special.unknownToken} among " +
                    "them. Received: ${scores.size}",
            )
        }
        mark = codes[0]
        unknownScore = scores.min() - UNKNOWN_PENALTY
        table = PieceTable.of(vocabulary, scores.size, prefixes = prefixes)
        val whole = settings.special.wholeTokens(vocabulary)
        for (token in whole) isWhole.set(token.id)
        rawTokens = WholeTokens(whole.filter { !it.normalized }, ::decoded)
        normalTokens = WholeTokens(whole.filter { it.normalized }, rules::normalized)
    }

    override fun splitter(): Splitter = UnigramSplitter(this)

    /** Whether a mark goes before a text that starts at a place of the whole text. */
    fun isPrepended(place: Int): Boolean = scheme == ALWAYS || (scheme == FIRST && place == 0)

    override fun partStarts(tokens: TokenList): IntArray {
        var isBehindEnd = true
        return tokens.placesWhere { place ->
            val id = tokens.ids[place]
            val isEmpty = tokens.starts[place] >= tokens.ends[place]
            val isStart = !isEmpty && (isBehindEnd || begins(id))
            isBehindEnd = isEnd(id)
            isStart
        }
    }

    /** Whether a part of a text starts at a token, whatever is before it. */
    private fun begins(id: Int): Boolean {
        if (id == unknownId) return false
        val start = vocabulary.startOf(id)
        return isWhole[id] || vocabulary.startsWith(id, space) || isSingle(vocabulary.codeAt(start))
    }

    /** Whether a token is a space alone. */
    fun isBareMark(id: Int): Boolean =
        vocabulary.startsWith(id, space) && vocabulary.endOf(id) - vocabulary.startOf(id) == space.length

    /** Whether a part starts behind a token, whatever that is. */
    private fun isEnd(id: Int): Boolean {
        if (id == unknownId) return false
        val last = vocabulary.lastCode(id)
        return isWhole[id] || last == mark || isSingle(last)
    }

    /** Whether a character is a word of its own. */
    private fun isSingle(code: Int): Boolean =
        Characters.flagsOf(code) and (Characters.PUNCTUATION or Characters.CHINESE) != 0

    private companion object {
        const val UNKNOWN_PENALTY = 10.0
        const val ALWAYS = "always"
        const val FIRST = "first"
        val SCHEMES = listOf(ALWAYS, FIRST, "never")
    }
}

/** Splits texts into the pieces with the largest sum of scores, as the `tokenizers` library does. */
internal class UnigramSplitter(private val tables: UnigramTables) : Splitter(tables) {
    private val work = UnigramRules.Work()
    private val marked = CodeList()
    private var path = BestPath(FIRST_ROOM)

    /** Splits a text; places are without the white space around them. */
    override fun split(text: String, limit: Int, into: TokenList) {
        val before = into.size
        super.split(text, limit, into)
        for (token in before until into.size) {
            var start = into.starts[token]
            var end = into.ends[token]
            while (start < end && isSpace(text[start])) start++
            if (tables.isBareMark(into.ids[token])) {
                end = start // nothing of the text
            } else if (start == end) {
                continue // white space only
            }
            while (end > start && isSpace(text[end - 1])) end--
            into.starts[token] = start
            into.ends[token] = end
        }
        if (path.room > KEPT_ROOM) path = BestPath(FIRST_ROOM)
    }

    private fun isSpace(character: Char): Boolean =
        Characters.flagsOf(character.code) and Characters.SPACE != 0

    override fun normalize(start: Int, end: Int): CodeList = tables.rules.normalize(codes, start, end, work)

    override fun addWords(start: Int, end: Int) {
        if (!tables.splitsAtSpace) return addWord(start, end)
        val codes = normal.codes
        var place = start
        while (place < end && !isFull) {
            val first = place
            while (place < end && Characters.flagsOf(codes[place]) and Characters.SPACE == 0) place++
            if (first < place) addWord(first, place)
            place++
        }
    }

    /** Puts marks in place of blanks, and splits before each, if so set. */
    private fun addWord(start: Int, end: Int) {
        if (start == end) return
        val codes = normal.codes
        val places = normal.places
        val mark = tables.mark
        marked.clear(end - start + 1)
        val first = codes[start]
        if (first != Characters.BLANK && first != mark && tables.isPrepended(places[start])) {
            marked.add(mark, places[start])
        }
        for (place in start until end) {
            marked.add(if (codes[place] == Characters.BLANK) mark else codes[place], places[place])
        }
        var begin = 0
        if (tables.splitsAtMark) {
            for (place in 1 until marked.size) {
                if (marked.codes[place] != mark) continue
                addBest(begin, place)
                if (isFull) return
                begin = place
            }
        }
        addBest(begin, marked.size)
    }

    /** Adds the pieces of a part of [marked]; unknown ones that meet are one. */
    private fun addBest(start: Int, end: Int) {
        findBest(start, end)
        var piece = path.reversed(end - start)
        var first = start
        while (piece > 0) {
            var id = path.ids[piece]
            var last = piece
            piece = path.next(piece)
            if (id == tables.unknownId) {
                while (piece > 0 && path.ids[piece] == id) {
                    last = piece
                    piece = path.next(piece)
                }
                id = idOf(first, start + last)
            }
            add(id, marked, first, start + last)
            first = start + last
        }
    }

    /** Finds the best path to each place (Viterbi). */
    private fun findBest(start: Int, end: Int) {
        if (path.room < end - start) path = BestPath(2 * (end - start))
        val path = path
        val codes = marked.codes
        val table = tables.table
        val prefixes = tables.prefixes
        val scores = tables.scores
        path.clear(end - start)
        for (place in start until end) {
            val at = place - start
            val before = path.scores[at]
            val stop = minOf(end, place + table.longest)
            var hash = 0
            var isKnown = false
            for (next in place until stop) {
                hash = PieceTable.hash(hash, codes[next])
                if (!prefixes.mayHave(hash)) break
                val id = table.find(hash, codes, place, next + 1)
                if (id < 0) continue
                path.offer(at, next + 1 - start, id, scores[id] + before)
                if (next == place) isKnown = true
            }
            if (!isKnown) path.offer(at, at + 1, tables.unknownId, tables.unknownScore + before)
        }
    }

    /** The id of what is unknown: as in the library, all of it may be a piece after all. */
    private fun idOf(start: Int, end: Int): Int {
        var hash = 0
        for (place in start until end) hash = PieceTable.hash(hash, marked.codes[place])
        val id = tables.table.find(hash, marked.codes, start, end)
        return if (id < 0) tables.unknownId else id
    }

    private companion object {
        const val FIRST_ROOM = 64
        const val KEPT_ROOM = 1 shl 14
    }
}

/** For each place of a text the piece that ends there on the best path to it. */
internal class BestPath(val room: Int) {
    val scores = DoubleArray(room + 1)
    val ids = IntArray(room + 1)
    private val starts = IntArray(room + 1)
    private val nexts = IntArray(room + 1)

    /** Takes all pieces out, for a text of so many places. */
    fun clear(length: Int) = starts.fill(-1, 0, length + 1)

    /** Takes a piece if it is the first one to its end, or better. */
    fun offer(start: Int, end: Int, id: Int, score: Double) {
        if (starts[end] >= 0 && !(score > scores[end])) return
        starts[end] = start
        scores[end] = score
        ids[end] = id
    }

    /** Turns the path to a place around, for [next]; gives the end of its first piece. */
    fun reversed(length: Int): Int {
        var end = length
        var behind = 0
        while (end > 0) {
            nexts[end] = behind
            behind = end
            end = starts[end]
        }
        return behind
    }

    /** The end of the piece behind one; 0 behind the last. */
    fun next(end: Int): Int = nexts[end]
}
