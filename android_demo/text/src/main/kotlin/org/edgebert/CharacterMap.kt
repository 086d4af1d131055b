package org.edgebert

import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * The character map of a SentencePiece model: what becomes of some texts of a few bytes. Threads may
 * share it.
 *
 * The map (`charsmap.bin`, SentencePiece's precompiled_charsmap) is the size of a trie in bytes, the
 * trie, and the texts that its values are offsets of, each ended by a zero byte. The trie is a double
 * array of uint32 units as Darts-clone lays it out.
 *
 * @throws ModelException it is cut short or damaged.
 */
internal class CharacterMap(content: ByteArray) {
    private val units: IntArray
    private val texts: ByteArray

    /** Whether an ASCII character stays as it is. */
    private val isKept: BooleanArray

    init {
        val data = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
        try {
            val size = data.getInt()
            if (size < 4 || size % 4 != 0 || size > data.remaining()) throw BufferUnderflowException()
            units = IntArray(size / 4) { data.getInt() }
        } catch (error: BufferUnderflowException) {
            throw ModelException("its character map is cut short or damaged", error)
        }
        texts = content.copyOfRange(data.position(), content.size)
        if (Utf8.decode(texts) == null) throw ModelException("the texts of its character map are not UTF-8")
        val code = IntArray(1)
        isKept = BooleanArray(ASCII) {
            code[0] = it
            find(code, 0, 1) < 0
        }
    }

    /** Applies the map to a text; of each code point that comes of it, the place is that in the text. */
    fun apply(from: CodeList, into: CodeList) {
        into.clear(from.size)
        val codes = from.codes
        val size = from.size
        var start = 0
        while (start < size) {
            val code = codes[start]
            if (code < ASCII && isKept[code] && (start + 1 == size || codes[start + 1] in ' '.code until ASCII)) {
                into.add(code, 0)
                start++
                continue
            }
            val end = Graphemes.clusterEnd(codes, start, size)
            val whole = if (end - start > 1) find(codes, start, end) else NONE
            if (whole >= 0) {
                replace(end - start, whole, into)
                start = end
            }
            while (start < end) {
                val part = find(codes, start, start + 1)
                if (part >= 0) replace(1, part, into) else into.add(codes[start], 0)
                start++
            }
        }
        setPlaces(from, into)
    }

    /**
     * Adds a text. Until [setPlaces] a place says how a code point came to be: 1 was inserted, 0
     * replaces one, and -n replaces one while n behind it are left out.
     */
    private fun replace(replaced: Int, text: Int, into: CodeList) {
        var place = text
        var added = 0
        while (place < texts.size && texts[place] != END) {
            val lead = texts[place].toInt()
            val more = if (lead >= 0) 0 else if (lead < TWO_MORE) 1 else if (lead < THREE_MORE) 2 else 3
            if (place + more >= texts.size) break
            var code = if (more == 0) lead else lead and (0x3F shr more)
            for (next in 1..more) code = (code shl 6) or (texts[place + next].toInt() and 0x3F)
            into.add(code, if (added < replaced) 0 else 1)
            added++
            place += 1 + more
        }
        // As in the library: what is left out at the very start is not counted.
        if (added < replaced && into.size > 0) into.places[into.size - 1] += added - replaced
    }

    private fun setPlaces(from: CodeList, into: CodeList) {
        val places = into.places
        var used = 0
        for (index in 0 until into.size) {
            val change = places[index]
            if (change > 0) {
                places[index] = from.places[used - 1]
            } else {
                places[index] = from.places[used]
                used += 1 - change
            }
        }
    }

    /**
     * What becomes of some code points: where in [texts] the text of the shortest key is that they begin
     * with. -1 where they have too many bytes or begin with no key.
     */
    private fun find(codes: IntArray, start: Int, end: Int): Int {
        var length = 0
        for (index in start until end) length += bytesOf(codes[index])
        if (length >= LONG) return NONE
        var place = offsetOf(units[0])
        for (index in start until end) {
            val code = codes[index]
            val bytes = bytesOf(code)
            for (number in 0 until bytes) {
                val byte = byteOf(code, number, bytes)
                place = place xor byte
                if (byte == 0 || place < 0 || place >= units.size) return NONE
                val unit = units[place]
                if (unit and LABEL != byte) return NONE
                place = place xor offsetOf(unit)
                if (unit and HAS_LEAF != 0) return valueAt(place)
            }
        }
        return NONE
    }

    private fun valueAt(place: Int): Int =
        if (place in units.indices) units[place] and Int.MAX_VALUE else NONE

    private companion object {
        const val NONE = -1
        const val ASCII = 128

        /** A cluster with as many bytes is replaced character by character. */
        const val LONG = 6
        const val END: Byte = 0
        const val TWO_MORE = 0xE0 - 256
        const val THREE_MORE = 0xF0 - 256
        const val HAS_LEAF = 1 shl 8
        const val FAR = 1 shl 9
        const val LABEL = Int.MIN_VALUE or 0xFF

        fun offsetOf(unit: Int): Int = (unit ushr 10) shl ((unit and FAR) ushr 6)

        fun bytesOf(code: Int): Int = if (code < 0x80) 1 else if (code < 0x800) 2 else if (code < 0x10000) 3 else 4

        /** A byte of a code point in UTF-8. */
        fun byteOf(code: Int, number: Int, bytes: Int): Int {
            val bits = code shr (6 * (bytes - 1 - number))
            if (number > 0) return 0x80 or (bits and 0x3F)
            return if (bytes == 1) bits else (0xF00 shr bytes and 0xFF) or bits
        }
    }
}
