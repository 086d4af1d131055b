package org.edgebert

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Reads the metadata buffers of a `.tflite` by position (https://flatbuffers.dev/internals/), without
 * unpacking the graph. Every offset is held against the size of the file.
 *
 * @throws ModelException as every method: it is no `.tflite`, or an offset leaves the file.
 */
internal class FlatbufferReader(file: ByteBuffer) {
    private val data = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
    private val size = data.limit()
    private val root: Int

    init {
        val received = String(CharArray(4) { if (size >= 8) (data.get(4 + it).toInt() and 0xFF).toChar() else ' ' })
        if (received != IDENTIFIER) {
            throw ModelException(
                "expected a .tflite (identifier $IDENTIFIER). Received: $size bytes" +
                    if (size >= 8) " with another identifier" else "",
            )
        }
        root = follow(0)
    }

    /** The contents of a named metadata buffer; of several of one name the last. Null: there is none. */
    fun metadata(name: String): ByteArray? {
        val buffers = vectorOf(root, MODEL_BUFFERS)
        val entries = vectorOf(root, MODEL_METADATA)
        var found: ByteArray? = null
        for (place in entries) {
            val entry = follow(place)
            if (contents(fieldOf(entry, METADATA_NAME)).decodeToString() != name) continue
            val field = fieldOf(entry, METADATA_BUFFER)
            val index = if (field == 0) 0 else int(field)
            if (index < 0 || index >= buffers.size) throw outOfBounds(index)
            found = contents(fieldOf(follow(buffers.first + 4 * index), BUFFER_DATA))
        }
        return found
    }

    /** The places of a vector's entries, 4 bytes each. */
    private class Entries(val first: Int, val size: Int) : Iterable<Int> {
        override fun iterator(): Iterator<Int> = (0 until size).map { first + 4 * it }.iterator()
    }

    private fun vectorOf(table: Int, slot: Int): Entries {
        val field = fieldOf(table, slot)
        if (field == 0) return Entries(0, 0)
        val start = follow(field)
        val length = int(start)
        if (length < 0 || length > (size - start - 4) / 4) throw outOfBounds(start)
        return Entries(start + 4, length)
    }

    private fun contents(field: Int): ByteArray {
        if (field == 0) return ByteArray(0)
        val start = follow(field)
        val length = int(start)
        if (length < 0 || length > size - start - 4) throw outOfBounds(start)
        val found = ByteArray(length)
        val from = data.duplicate()
        from.position(start + 4)
        from.get(found)
        return found
    }

    /** Where a table's field is; 0 where it is not set. */
    private fun fieldOf(table: Int, slot: Int): Int {
        val layout = table - int(table)
        val place = 4 + 2 * slot
        if (place >= short(layout)) return 0
        val offset = short(layout + place)
        return if (offset == 0) 0 else table + offset
    }

    private fun follow(place: Int): Int {
        val target = place.toLong() + (int(place).toLong() and 0xFFFFFFFFL)
        if (target > size - 4) throw outOfBounds(place)
        return target.toInt()
    }

    private fun int(place: Int): Int {
        if (place < 0 || place > size - 4) throw outOfBounds(place)
        return data.getInt(place)
    }

    private fun short(place: Int): Int {
        if (place < 0 || place > size - 2) throw outOfBounds(place)
        return data.getShort(place).toInt() and 0xFFFF
    }

    private fun outOfBounds(place: Int) =
        ModelException("an offset at byte ${place.toLong()} leaves the file of $size bytes")

    private companion object {
        const val IDENTIFIER = "TFL3"

        // Field numbers of the model schema: tables Model, Metadata and Buffer.
        const val MODEL_BUFFERS = 4
        const val MODEL_METADATA = 6
        const val METADATA_NAME = 0
        const val METADATA_BUFFER = 1
        const val BUFFER_DATA = 0
    }
}
