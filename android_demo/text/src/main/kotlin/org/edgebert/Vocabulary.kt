package org.edgebert

/**
 * The tokens of a tokenizer; a token's id is its place.
 *
 * All tokens lie in one array of characters, so that a vocabulary is a handful of objects.
 *
 * @param characters all tokens, one after the other.
 * @param ends where each token ends in [characters]; it begins where the one before ends.
 */
internal class Vocabulary(private val characters: CharArray, private val ends: IntArray) {
    val size: Int get() = ends.size

    /** The token of an id. */
    operator fun get(id: Int): String = String(characters, startOf(id), ends[id] - startOf(id))

    fun startOf(id: Int): Int = if (id == 0) 0 else ends[id - 1]

    fun endOf(id: Int): Int = ends[id]

    /** The id of a token; -1 where there is none. */
    fun idOf(token: String): Int {
        for (id in 0 until size) {
            if (endOf(id) - startOf(id) == token.length && startsWith(id, token)) return id
        }
        return -1
    }

    /** Whether a token begins with a prefix. */
    fun startsWith(id: Int, prefix: String): Boolean {
        val start = startOf(id)
        if (endOf(id) - start < prefix.length) return false
        for (index in prefix.indices) if (characters[start + index] != prefix[index]) return false
        return true
    }

    /** The code point at a place of the tokens' characters. */
    fun codeAt(place: Int): Int {
        val character = characters[place]
        if (!character.isHighSurrogate() || place + 1 == characters.size) return character.code
        return codePoint(character, characters[place + 1])
    }

    /** The last code point of a token that is not empty. */
    fun lastCode(id: Int): Int {
        val last = endOf(id) - 1
        val isPair = last > startOf(id) && characters[last].isLowSurrogate() && characters[last - 1].isHighSurrogate()
        return codeAt(if (isPair) last - 1 else last)
    }

    companion object {
        /**
         * Reads a vocab.txt.
         *
         * @param bytes UTF-8, one token a line, lines ended by `\n`.
         * @return null where it is not UTF-8.
         */
        fun read(bytes: ByteArray): Vocabulary? {
            val length = if (bytes.isNotEmpty() && bytes.last() == LINE_END) bytes.size - 1 else bytes.size
            val text = Utf8.decode(bytes, length) ?: return null
            var lines = 1
            for (character in text) if (character == '\n') lines++
            val characters = CharArray(text.length - lines + 1)
            val ends = IntArray(lines)
            var used = 0
            var line = 0
            for (character in text) {
                if (character == '\n') ends[line++] = used else characters[used++] = character
            }
            ends[line] = used
            return Vocabulary(characters, ends)
        }

        private const val LINE_END = '\n'.code.toByte()
    }
}

internal fun codePoint(high: Char, low: Char): Int =
    0x10000 + ((high.code - 0xD800) shl 10) + (low.code - 0xDC00)

/**
 * The pieces of a vocabulary by their code points: a hash table.
 *
 * A piece is looked for by a range of code points and its hash, so no string is made.
 */
internal class PieceTable private constructor(
    private val vocabulary: Vocabulary,
    private val skipped: Int,
    pieces: Int,
    private val prefixes: PrefixFilter?,
) {
    private val shift: Int
    private val slots: LongArray // hash in the upper half, id + 1 in the lower; 0 is free

    /** Code points of the longest piece. */
    var longest: Int = 0
        private set

    init {
        var bits = 4
        while (1 shl bits < 2 * pieces) bits++
        shift = 32 - bits
        slots = LongArray(1 shl bits)
    }

    /** The id of a piece, -1 where there is none. Its hash is [hash] of the hash without the last. */
    fun find(hash: Int, codes: IntArray, start: Int, end: Int): Int {
        var slot = slotOf(hash)
        while (true) {
            val entry = slots[slot]
            if (entry == 0L) return -1
            if ((entry ushr 32).toInt() == hash && isPiece(entry.toInt() - 1, codes, start, end)) {
                return entry.toInt() - 1
            }
            slot = (slot + 1) and (slots.size - 1)
        }
    }

    private fun isPiece(id: Int, codes: IntArray, start: Int, end: Int): Boolean {
        var place = vocabulary.startOf(id) + skipped
        val placeEnd = vocabulary.endOf(id)
        for (index in start until end) {
            if (place >= placeEnd) return false
            val code = vocabulary.codeAt(place)
            if (code != codes[index]) return false
            place += if (code > 0xFFFF) 2 else 1
        }
        return place == placeEnd
    }

    private fun slotOf(hash: Int): Int = (hash * MIXER) ushr shift

    /** Adds a piece, or gives the id that has the same code points. */
    private fun add(id: Int, codes: IntArray, length: Int): Int {
        var hash = 0
        for (index in 0 until length) {
            hash = hash(hash, codes[index])
            prefixes?.add(hash)
        }
        val same = find(hash, codes, 0, length)
        if (same >= 0) return same
        var slot = slotOf(hash)
        while (slots[slot] != 0L) slot = (slot + 1) and (slots.size - 1)
        slots[slot] = (hash.toLong() shl 32) or (id + 1).toLong()
        longest = maxOf(longest, length)
        return -1
    }

    companion object {
        private const val MIXER = -1640531527 // 2^32 over the golden ratio

        /** The hash of code points, one more taken in. */
        fun hash(hash: Int, code: Int): Int = hash * 31 + code

        /**
         * The table of those of the first [count] tokens that begin with a prefix.
         *
         * @param skipsPrefix whether the prefix is no part of a piece; what has nothing else is none.
         * @param prefixes takes what the pieces begin with; null: nobody asks for that.
         * @throws ModelException a token is empty or twice there.
         */
        fun of(
            vocabulary: Vocabulary,
            count: Int,
            prefix: String = "",
            skipsPrefix: Boolean = false,
            prefixes: PrefixFilter? = null,
        ): PieceTable {
            val skipped = if (skipsPrefix) prefix.length else 0
            val isPiece = { id: Int ->
                val isLonger = !skipsPrefix || vocabulary.endOf(id) - vocabulary.startOf(id) > skipped
                isLonger && vocabulary.startsWith(id, prefix)
            }
            val table = PieceTable(vocabulary, skipped, (0 until count).count(isPiece), prefixes)
            var codes = IntArray(64)
            for (id in 0 until count) {
                if (!isPiece(id)) continue
                val end = vocabulary.endOf(id)
                var place = vocabulary.startOf(id) + skipped
                if (end - place > codes.size) codes = IntArray(end - place)
                var length = 0
                while (place < end) {
                    val code = vocabulary.codeAt(place)
                    place += if (code > 0xFFFF) 2 else 1
                    codes[length++] = code
                }
                val same = if (length == 0) id else table.add(id, codes, length)
                if (same >= 0) throw ModelException("line ${id + 1} is empty or the same as line ${same + 1}")
            }
            return table
        }
    }
}

/**
 * Whether a piece may begin with some code points: a bit for each hash of what pieces begin with.
 *
 * @param pieces how many there are.
 */
internal class PrefixFilter(pieces: Int) {
    private val shift: Int
    private val bits: LongArray

    init {
        var size = 6
        while (size < 28 && 1 shl size < BITS_A_PIECE * pieces) size++
        shift = 32 - size
        bits = LongArray(1 shl (size - 6))
    }

    /** Adds what a piece begins with, by its [PieceTable.hash]. */
    fun add(hash: Int) {
        val bit = bitOf(hash)
        bits[bit ushr 6] = bits[bit ushr 6] or (1L shl bit)
    }

    /** False where no piece begins with what has the hash. */
    fun mayHave(hash: Int): Boolean {
        val bit = bitOf(hash)
        return bits[bit ushr 6] ushr bit and 1L != 0L
    }

    private fun bitOf(hash: Int): Int = (hash * MIXER) ushr shift

    private companion object {
        const val BITS_A_PIECE = 16
        const val MIXER = -1640531527 // 2^32 over the golden ratio
    }
}

/** UTF-8 to text. */
internal object Utf8 {
    /** The text of the first [length] bytes; null where they are not UTF-8. */
    fun decode(bytes: ByteArray, length: Int = bytes.size): String? = try {
        bytes.decodeToString(0, length, throwOnInvalidSequence = true)
    } catch (_: CharacterCodingException) {
        null
    }
}
