package org.edgebert

import java.io.ByteArrayOutputStream
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import java.util.zip.CRC32

/** Files as `edgebert export` lays them out, without a graph in them. */
internal object ModelBytes {
    /** A file with a manifest and a vocabulary, and more files in its archive. */
    fun file(
        manifest: Map<String, Any?>,
        vocabulary: String,
        more: Map<String, ByteArray> = emptyMap(),
    ): ByteArray {
        val graph = flatbuffer(linkedMapOf("min_runtime_version" to "1.5.0", "EDGEBERT_MANIFEST" to json(manifest)))
        val texts = linkedMapOf("labels.txt" to "a\nb\n", "vocab.txt" to vocabulary)
        return withFiles(graph, texts.mapValues { it.value.toByteArray() } + more)
    }

    /** Scores as piece_scores.bin has them. */
    fun scores(vararg scores: Double): ByteArray {
        val bytes = little(Double.SIZE_BYTES * scores.size)
        bytes.asDoubleBuffer().put(scores)
        return bytes.array()
    }

    /** A manifest of format 1 with what a reader needs. */
    fun manifest(
        vocabulary: String,
        task: String = "classification",
        more: Map<String, Any?> = emptyMap(),
    ): Map<String, Any?> = mapOf(
        "format" to 1,
        "task" to task,
        "labels" to listOf("bad", "good"),
        "decoding" to emptyMap<String, Any>(),
        "output" to "probabilities",
        "lengths" to listOf(8, 16),
        "max_length" to 16,
        "tokenizer" to mapOf("lowercase" to true),
        "vocabulary_sha256" to sha256(vocabulary),
        "config" to mapOf("num_segments" to 2),
    ) + more

    fun sha256(text: String): String =
        MessageDigest.getInstance("SHA-256").digest(text.toByteArray()).joinToString("") { "%02x".format(it) }

    /** JSON of maps, lists, strings, numbers, booleans and null; ASCII. */
    fun json(value: Any?): String = when (value) {
        is Map<*, *> -> value.entries.joinToString(",", "{", "}") { "${json(it.key)}:${json(it.value)}" }
        is List<*> -> value.joinToString(",", "[", "]", transform = ::json)
        is String -> value.map { if (it in ' '..'~' && it !in "\"\\") "$it" else "\\u%04x".format(it.code) }
            .joinToString("", "\"", "\"")
        else -> value.toString()
    }

    /** A `.tflite` without a graph: named metadata buffers. */
    fun flatbuffer(buffers: Map<String, String>): ByteArray {
        val out = Bytes()
        out.int(0) // the root table, filled in below
        out.text("TFL3")
        val root = out.table(10, mapOf(4 to 0, 6 to 0))
        out.put(0, root.start)
        out.link(root.places.getValue(4))
        val bufferLinks = out.vector(buffers.size)
        out.link(root.places.getValue(6))
        val entryLinks = out.vector(buffers.size)
        buffers.entries.forEachIndexed { index, (name, content) ->
            out.link(bufferLinks[index])
            val buffer = out.table(1, mapOf(0 to 0))
            out.link(buffer.places.getValue(0))
            out.bytes(content.toByteArray())
            out.link(entryLinks[index])
            val entry = out.table(2, mapOf(0 to 0, 1 to index))
            out.link(entry.places.getValue(0))
            out.bytes(name.toByteArray())
        }
        return out.content()
    }

    private class Table(val start: Int, val places: Map<Int, Int>)

    private class Bytes {
        private val data = ByteBuffer.allocate(1 shl 20).order(ByteOrder.LITTLE_ENDIAN)

        fun int(value: Int) {
            data.putInt(value)
        }

        fun text(text: String) {
            data.put(text.toByteArray())
        }

        fun put(place: Int, target: Int) {
            data.putInt(place, target - place)
        }

        /** What comes next is what the offset at a place leads to. Tables lie behind their layout. */
        fun link(place: Int) {
            while (data.position() % 4 != 0) data.put(0)
            links.add(place)
        }

        private val links = ArrayList<Int>()

        private fun here() {
            links.forEach { put(it, data.position()) }
            links.clear()
        }

        fun vector(size: Int): List<Int> {
            here()
            int(size)
            return List(size) { data.position().also { int(0) } }
        }

        fun bytes(content: ByteArray) {
            here()
            int(content.size)
            data.put(content)
            while (data.position() % 4 != 0) data.put(0)
        }

        fun table(slots: Int, fields: Map<Int, Int>): Table {
            val layout = data.position()
            val size = 4 + 2 * slots
            data.putShort(size.toShort()).putShort((4 + 4 * fields.size).toShort())
            val inside = fields.keys.withIndex().associate { (index, slot) -> slot to 4 + 4 * index }
            for (slot in 0 until slots) data.putShort((inside[slot] ?: 0).toShort())
            while (data.position() % 4 != 0) data.put(0)
            here()
            val start = data.position()
            int(start - layout)
            val places = fields.mapValues { (_, value) -> data.position().also { int(value) } }
            return Table(start, places)
        }

        fun content(): ByteArray = data.array().copyOf(data.position())
    }

    /** The graph with a ZIP archive behind it, whose files are stored. */
    fun withArchive(graph: ByteArray, files: Map<String, String>, method: Int = 0): ByteArray =
        withFiles(graph, files.mapValues { it.value.toByteArray() }, method)

    private fun withFiles(graph: ByteArray, files: Map<String, ByteArray>, method: Int = 0): ByteArray {
        val out = ByteArrayOutputStream().apply { write(graph) }
        val directory = ByteArrayOutputStream()
        for ((name, content) in files) {
            val start = out.size()
            val common = little(22).short(20).short(0).short(method).int(0)
                .int(CRC32().apply { update(content) }.value.toInt()).int(content.size).int(content.size)
            out.write(little(30).int(0x04034b50).put(common.array()).short(name.length).short(0).finished())
            out.write(name.toByteArray())
            out.write(content)
            directory.write(
                little(46).int(0x02014b50).short(20).put(common.array()).short(name.length).short(0).short(0)
                    .short(0).short(0).int(0).int(start).finished(),
            )
            directory.write(name.toByteArray())
        }
        val start = out.size()
        out.write(directory.toByteArray())
        out.write(
            little(22).int(0x06054b50).int(0).short(files.size).short(files.size).int(directory.size()).int(start)
                .short(0).finished(),
        )
        return out.toByteArray()
    }

    private fun little(size: Int): ByteBuffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN)

    private fun ByteBuffer.short(value: Int): ByteBuffer = putShort(value.toShort())

    private fun ByteBuffer.int(value: Int): ByteBuffer = putInt(value)

    private fun ByteBuffer.finished(): ByteArray = array().also { check(position() == it.size) { position() } }
}
