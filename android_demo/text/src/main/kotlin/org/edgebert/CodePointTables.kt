package org.edgebert

import java.nio.ByteBuffer

/** A byte for each code point, in blocks of code points; equal blocks are kept once. */
internal class CodePointTable(values: ByteArray) {
    private val blockOf = ShortArray(CODE_POINTS shr BLOCK_BITS)
    private val blocks: ByteArray

    init {
        val known = HashMap<ByteBuffer, Int>()
        for (block in blockOf.indices) {
            val content = ByteBuffer.wrap(values, block * BLOCK, BLOCK).slice()
            blockOf[block] = known.getOrPut(content) { known.size }.toShort()
        }
        blocks = ByteArray(known.size * BLOCK)
        for ((content, number) in known) content.get(blocks, number * BLOCK, BLOCK)
    }

    operator fun get(code: Int): Int =
        blocks[(blockOf[code shr BLOCK_BITS].toInt() shl BLOCK_BITS) or (code and (BLOCK - 1))].toInt()

    companion object {
        const val CODE_POINTS = 0x110000
        private const val BLOCK_BITS = 7
        private const val BLOCK = 1 shl BLOCK_BITS
    }
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
internal inline fun readRanges(table: String, from: Int, to: Int, visit: (Int, Int) -> Unit) {
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

internal fun digitOf(character: Char): Int = when (character) {
    in '0'..'9' -> character - '0'
    in 'a'..'z' -> character - 'a' + 10
    else -> -1
}
