package org.edgebert

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Reads the ZIP archive behind the graph of a `.tflite`, whose files are stored as they are. */
internal class ArchiveReader(file: ByteBuffer) {
    private val data = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    private val size = data.limit()

    /**
     * The contents of a file in the archive; null where there is none of that name, or no archive.
     *
     * @throws ModelException the archive is damaged, or the file in it is compressed.
     */
    fun read(name: String): ByteArray? {
        val end = endRecord()
        if (end < 0) return null
        var entry = int(end + DIRECTORY_START)
        repeat(short(end + ENTRY_COUNT)) {
            if (int(entry) != ENTRY) throw damaged("its directory is not where it should be")
            val nameLength = short(entry + NAME_LENGTH)
            if (isName(name, entry + ENTRY_SIZE, nameLength)) return contents(name, entry)
            entry += ENTRY_SIZE + nameLength + short(entry + EXTRA_LENGTH) + short(entry + COMMENT_LENGTH)
        }
        return null
    }

    /** Where the record is that ends the archive; it may have a comment behind it. -1: there is none. */
    private fun endRecord(): Int {
        val first = maxOf(0, size - END_SIZE - LONGEST_COMMENT)
        for (place in size - END_SIZE downTo first) if (data.getInt(place) == END) return place
        return -1
    }

    private fun isName(name: String, place: Int, length: Int): Boolean =
        length == name.length && bytes(place, length).decodeToString() == name

    private fun contents(name: String, entry: Int): ByteArray {
        if (short(entry + METHOD) != STORED) {
            throw damaged("$name is compressed, expected it stored as it is")
        }
        val start = int(entry + LOCAL_START)
        if (int(start) != LOCAL) throw damaged("$name is not where it should be")
        val skipped = LOCAL_SIZE + short(start + LOCAL_NAME_LENGTH) + short(start + LOCAL_EXTRA_LENGTH)
        return bytes(start + skipped, int(entry + CONTENT_LENGTH))
    }

    private fun bytes(place: Int, length: Int): ByteArray {
        check(place, length)
        val found = ByteArray(length)
        val from = data.duplicate()
        from.position(place)
        from.get(found)
        return found
    }

    private fun int(place: Int): Int {
        check(place, 4)
        return data.getInt(place)
    }

    private fun short(place: Int): Int {
        check(place, 2)
        return data.getShort(place).toInt() and 0xFFFF
    }

    private fun check(place: Int, length: Int) {
        if (place < 0 || length < 0 || place > size - length) throw damaged("an offset leaves the file")
    }

    private fun damaged(what: String) = ModelException("the archive behind the graph is damaged: $what")

    private companion object {
        // Signatures, sizes and places of fields in PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
        const val LOCAL = 0x04034b50
        const val LOCAL_SIZE = 30
        const val LOCAL_NAME_LENGTH = 26
        const val LOCAL_EXTRA_LENGTH = 28
        const val ENTRY = 0x02014b50
        const val ENTRY_SIZE = 46
        const val METHOD = 10
        const val CONTENT_LENGTH = 24
        const val NAME_LENGTH = 28
        const val EXTRA_LENGTH = 30
        const val COMMENT_LENGTH = 32
        const val LOCAL_START = 42
        const val END = 0x06054b50
        const val END_SIZE = 22
        const val ENTRY_COUNT = 10
        const val DIRECTORY_START = 16
        const val LONGEST_COMMENT = 0xFFFF
        const val STORED = 0
    }
}
