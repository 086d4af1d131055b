package org.edgebert

import java.nio.ByteBuffer

/** What each code point is to the tokenizer, by the tables of [CharacterTables]. */
internal object Characters {
    const val REMOVED = 1
    const val SPACE = 2
    const val PUNCTUATION = 4
    const val CHINESE = 8
    const val MARK = 16
    const val DECOMPOSED = 32
    const val CASED = 64
    const val REORDERED = 128

    const val REPLACEMENT = 0xFFFD
    const val BLANK = 0x20

    private const val CODE_POINTS = 0x110000
    private const val BLOCK_BITS = 7
    private const val BLOCK = 1 shl BLOCK_BITS

    /** The flags in blocks of code points; equal blocks are kept once. */
    private val blockOf = ShortArray(CODE_POINTS shr BLOCK_BITS)
    private val blocks: ByteArray

    private val lowercase = RangeMap.ofGroups(CharacterTables.lowercase)
    private val longLowercase = SequenceMap(CharacterTables.longLowercase)
    private val combiningClasses = RangeMap.ofGroups(CharacterTables.combiningClasses)
    private val decompositions by lazy { SequenceMap(CharacterTables.decompositions) }
    private val wordCharacters by lazy { RangeMap.ofSet(CharacterTables.wordCharacters) }
    private val nonspacingMarks by lazy { RangeMap.ofSet(CharacterTables.nonspacingMarks) }

    init {
        blocks = packed(readFlags())
    }

    /** A sum of the flags above. */
    fun flagsOf(code: Int): Int =
        blocks[(blockOf[code shr BLOCK_BITS].toInt() shl BLOCK_BITS) or (code and (BLOCK - 1))].toInt()

    /** Whether text is split there: white space, which a few control characters are not. */
    fun isSpace(character: Char): Boolean =
        flagsOf(character.code) and SPACE != 0 || character in '\u001c'..'\u001f' || character == '\u0085' ||
            character == '\u000b' || character == '\u000c'

    /** Whether a token that must stand alone is not found beside it. */
    fun isWordCharacter(code: Int): Boolean = wordCharacters[code] != 0

    /** Whether it is a combining mark, which belongs to the word before (category Mn). */
    fun isNonspacingMark(code: Int): Boolean = nonspacingMarks[code] != 0

    /** The canonical combining class of a code point with the flag [REORDERED]. */
    fun combiningClass(code: Int): Int = combiningClasses[code]

    /** Calls back with each code point of the lowercase of one with the flag [CASED]. */
    inline fun forEachLowercase(code: Int, visit: (Int) -> Unit) {
        val delta = lowercaseDelta(code)
        if (delta != 0) visit(code + delta) else longLowercase().forEach(code, visit)
    }

    /** Calls back with each code point that one with the flag [DECOMPOSED] is taken apart into. */
    inline fun forEachPart(code: Int, visit: (Int) -> Unit) {
        val syllable = code - Hangul.FIRST_SYLLABLE
        if (syllable < 0 || syllable >= Hangul.SYLLABLES) {
            decompositions().forEach(code, visit)
            return
        }
        visit(Hangul.FIRST_LEAD + syllable / Hangul.OF_A_LEAD)
        visit(Hangul.FIRST_VOWEL + syllable % Hangul.OF_A_LEAD / Hangul.TRAILS)
        val trail = syllable % Hangul.TRAILS
        if (trail != 0) visit(Hangul.BEFORE_FIRST_TRAIL + trail)
    }

    fun lowercaseDelta(code: Int): Int = lowercase[code]

    fun longLowercase(): SequenceMap = longLowercase

    fun decompositions(): SequenceMap = decompositions

    private fun readFlags(): ByteArray {
        val flags = ByteArray(CODE_POINTS)
        fun set(table: String, flag: Int) = readRanges(table, 0, table.length) { start, end ->
            for (code in start until end) flags[code] = (flags[code].toInt() or flag).toByte()
        }
        set(CharacterTables.removed, REMOVED)
        set(CharacterTables.spaces, SPACE)
        set(CharacterTables.punctuation, PUNCTUATION)
        set(CharacterTables.chineseCharacters, CHINESE)
        set(CharacterTables.marks, MARK)
        set(CharacterTables.decomposed, DECOMPOSED)
        fun setEach(code: Int, flag: Int) {
            flags[code] = (flags[code].toInt() or flag).toByte()
        }
        lowercase.forEachCode { setEach(it, CASED) }
        longLowercase.forEachCode { setEach(it, CASED) }
        combiningClasses.forEachCode { setEach(it, REORDERED) }
        return flags
    }

    private fun packed(flags: ByteArray): ByteArray {
        val known = HashMap<ByteBuffer, Int>()
        for (block in blockOf.indices) {
            val content = ByteBuffer.wrap(flags, block * BLOCK, BLOCK).slice()
            blockOf[block] = known.getOrPut(content) { known.size }.toShort()
        }
        val kept = ByteArray(known.size * BLOCK)
        for ((content, number) in known) content.get(kept, number * BLOCK, BLOCK)
        return kept
    }
}

/** How the syllables of Hangul are made up (Unicode Standard, section 3.12). */
internal object Hangul {
    const val FIRST_SYLLABLE = 0xAC00
    const val FIRST_LEAD = 0x1100
    const val FIRST_VOWEL = 0x1161
    const val BEFORE_FIRST_TRAIL = 0x11A7
    const val TRAILS = 28
    const val OF_A_LEAD = 21 * TRAILS
    const val SYLLABLES = 19 * OF_A_LEAD
}

/** A number for each code point of some ranges, 0 for all others. */
internal class RangeMap private constructor(ranges: List<IntArray>) {
    private val starts = IntArray(ranges.size) { ranges[it][0] }
    private val ends = IntArray(ranges.size) { ranges[it][1] }
    private val values = IntArray(ranges.size) { ranges[it][2] }

    operator fun get(code: Int): Int {
        val found = starts.binarySearch(code)
        val range = if (found >= 0) found else -found - 2
        return if (range >= 0 && code < ends[range]) values[range] else 0
    }

    inline fun forEachCode(visit: (Int) -> Unit) {
        for (range in 0 until size()) for (code in startOf(range) until endOf(range)) visit(code)
    }

    fun size(): Int = starts.size

    fun startOf(range: Int): Int = starts[range]

    fun endOf(range: Int): Int = ends[range]

    companion object {
        /** Groups of a value and a set of code points, with semicolons between them. */
        fun ofGroups(table: String): RangeMap {
            val ranges = ArrayList<IntArray>()
            for (group in table.split(';')) {
                val text = group.trim()
                val gap = text.indexOfAny(charArrayOf(' ', '\n'))
                val value = text.substring(0, gap).toInt()
                readRanges(text, gap, text.length) { start, end ->
                    ranges.add(intArrayOf(start, end, value))
                }
            }
            return RangeMap(ranges.sortedBy { it[0] })
        }

        /** A set of code points, each with the value 1. */
        fun ofSet(table: String): RangeMap {
            val ranges = ArrayList<IntArray>()
            readRanges(table, 0, table.length) { start, end -> ranges.add(intArrayOf(start, end, 1)) }
            return RangeMap(ranges)
        }
    }
}

/** A sequence of code points for each of some code points. */
internal class SequenceMap(table: String) {
    private val codes: IntArray
    private val ends: IntArray
    private val parts: IntArray

    init {
        val entries = table.trim().split(' ', '\n')
        codes = IntArray(entries.size)
        ends = IntArray(entries.size)
        val all = ArrayList<Int>()
        var last = 0
        for ((number, entry) in entries.withIndex()) {
            val sign = entry.indexOf('=')
            last += entry.substring(0, sign).toInt(36)
            codes[number] = last
            for (part in entry.substring(sign + 1).split('.')) all.add(part.toInt(36))
            ends[number] = all.size
        }
        parts = all.toIntArray()
    }

    inline fun forEach(code: Int, visit: (Int) -> Unit) {
        val entry = entryOf(code)
        for (part in startOf(entry) until endOf(entry)) visit(partAt(part))
    }

    inline fun forEachCode(visit: (Int) -> Unit) {
        for (entry in 0 until size()) visit(codeOf(entry))
    }

    fun entryOf(code: Int): Int = codes.binarySearch(code)

    fun startOf(entry: Int): Int = if (entry <= 0) 0 else ends[entry - 1]

    fun endOf(entry: Int): Int = if (entry < 0) 0 else ends[entry]

    fun partAt(part: Int): Int = parts[part]

    fun size(): Int = codes.size

    fun codeOf(entry: Int): Int = codes[entry]
}

/** Calls back with each range, start and end, of a set as [CharacterTables] writes it. */
private inline fun readRanges(table: String, from: Int, to: Int, visit: (Int, Int) -> Unit) {
    var place = from
    var end = 0
    while (place < to) {
        if (digitOf(table[place]) < 0) {
            place++
            continue
        }
        var gap = 0
        while (place < to && digitOf(table[place]) >= 0) gap = gap * 36 + digitOf(table[place++])
        var length = 1
        if (place < to && table[place] == ':') {
            place++
            length = 0
            while (place < to && digitOf(table[place]) >= 0) length = length * 36 + digitOf(table[place++])
        }
        val start = end + gap
        end = start + length
        visit(start, end)
    }
}

private fun digitOf(character: Char): Int = when (character) {
    in '0'..'9' -> character - '0'
    in 'a'..'z' -> character - 'a' + 10
    else -> -1
}
