package org.edgebert

import java.io.File
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** Files that are sound, and what is said of those that are not. */
class ModelFileTest {
    private val vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\nmusic\n"
    private val manifest = ModelBytes.manifest(vocabulary)
    private val sound = ModelBytes.file(manifest, vocabulary)

    private fun open(bytes: ByteArray): ModelFile = ModelFile.of(ByteBuffer.wrap(bytes), "model.tflite")

    private fun refused(bytes: ByteArray): String =
        assertThrows(ModelException::class.java) { open(bytes) }.message!!

    private fun refused(more: Map<String, Any?>): String = refused(ModelBytes.file(manifest + more, vocabulary))

    @Test
    fun `a sound file`(@TempDir folder: File) {
        val path = File(folder, "model.tflite").apply { writeBytes(sound) }
        val file = ModelFile.open(path)
        assertEquals(path, file.path)
        assertEquals("model.tflite", file.name)
        assertEquals(sound.size, file.sizeBytes)
        assertEquals("classification", file.task)
        assertEquals(listOf("bad", "good"), file.labels)
        assertEquals(listOf(8, 16), file.lengths)
        assertEquals(16, file.maxLength)
        assertEquals("probabilities", file.output)
        assertEquals(8, file.tokenizer.vocabularySize)
        assertEquals(listOf(2, 5, 6, 7, 3), file.tokenizer.encode("Playing MUSIC").tokenIds.toList())
        assertEquals("##ing", file.tokenizer.token(6))
        assertTrue(file.buffer.isDirect && file.buffer.isReadOnly)
        assertEquals(ByteBuffer.wrap(sound), file.buffer)
    }

    @Test
    fun `the SHA-256 is that of the whole file`() {
        val digest = java.security.MessageDigest.getInstance("SHA-256").digest(sound)
        assertEquals(digest.joinToString("") { "%02x".format(it) }, open(sound).sha256())
    }

    @Test
    fun `a file that lies inside a larger one, as an asset does`() {
        val larger = ByteBuffer.allocate(sound.size + 300)
        larger.position(100)
        larger.put(sound)
        larger.flip()
        larger.position(100)
        assertEquals(listOf("bad", "good"), ModelFile.of(larger, "asset").labels)
    }

    @Test
    fun `a file that is cut short at any byte is refused with what to do next`() {
        for (length in sound.indices) {
            val message = refused(sound.copyOf(length))
            assertTrue("model.tflite can't be used" in message && "Next:" in message, message)
        }
    }

    @Test
    fun `a file with any damaged byte is read or refused, and nothing else`() {
        for (place in sound.indices) {
            for (value in listOf(0, 0x7F, 0xFF)) {
                val damaged = sound.copyOf().also { it[place] = value.toByte() }
                try {
                    open(damaged).tokenizer.encode("playing music")
                } catch (error: ModelException) {
                    assertTrue("Next:" in error.message!!, error.message)
                }
            }
        }
    }

    @Test
    fun `no manifest`() {
        val graph = ModelBytes.flatbuffer(mapOf("TFLITE_METADATA" to "M001"))
        val message = refused(ModelBytes.withArchive(graph, mapOf("vocab.txt" to vocabulary)))
        assertTrue("no edgebert manifest" in message && "edgebert export" in message, message)
    }

    @Test
    fun `a manifest of a newer format`() {
        val message = refused(mapOf("format" to 3))
        assertTrue("expected a manifest of format 1 or 2. Received: 3" in message, message)
    }

    @Test
    fun `a vocabulary of another hash`() {
        val message = refused(ModelBytes.file(manifest, vocabulary + "more\n"))
        assertTrue("not the one that was exported" in message, message)
    }

    @Test
    fun `a compressed vocabulary`() {
        val graph = ModelBytes.flatbuffer(mapOf("EDGEBERT_MANIFEST" to ModelBytes.json(manifest)))
        val message = refused(ModelBytes.withArchive(graph, mapOf("vocab.txt" to vocabulary), method = 8))
        assertTrue("vocab.txt is compressed" in message, message)
    }

    @Test
    fun `no archive behind the graph`() {
        val message = refused(ModelBytes.flatbuffer(mapOf("EDGEBERT_MANIFEST" to ModelBytes.json(manifest))))
        assertTrue("no vocab.txt inside" in message, message)
    }

    @Test
    fun `values of another type are named`() {
        assertTrue("labels: expected a list. Received: good" in refused(mapOf("labels" to "good")))
        assertTrue("labels: expected strings" in refused(mapOf("labels" to listOf(1))))
        assertTrue("max_length: expected a whole number. Received: 1.5" in refused(mapOf("max_length" to 1.5)))
        assertTrue("lengths: expected whole numbers" in refused(mapOf("lengths" to listOf(-8))))
        assertTrue("lowercase: expected true or false" in refused(mapOf("tokenizer" to mapOf("lowercase" to 1))))
        assertTrue("config: expected an object" in refused(mapOf("config" to null)))
        assertTrue("ascending lengths" in refused(mapOf("lengths" to listOf(16, 8))))
        assertTrue("ascending lengths" in refused(mapOf("max_length" to 17)))
    }

    @Test
    fun `a special token that is not in the vocabulary`() {
        val message = refused(mapOf("tokenizer" to mapOf("lowercase" to true, "mask_token" to "<mask>")))
        assertTrue("\"<mask>\" is not in the vocabulary" in message, message)
    }

    @Test
    fun `a vocabulary with a token twice, an empty one, or bytes that are no UTF-8`() {
        for (bad in listOf(vocabulary + "play\n", vocabulary + "\nx\n")) {
            assertTrue("Next:" in refused(ModelBytes.file(ModelBytes.manifest(bad), bad)))
        }
        val bytes = "[PAD]\n".toByteArray() + byteArrayOf(0xC3.toByte(), '\n'.code.toByte())
        assertNull(Vocabulary.read(bytes))
    }

    @Test
    fun `no file at all`(@TempDir folder: File) {
        val message = assertThrows(ModelException::class.java) { ModelFile.open(File(folder, "none.tflite")) }.message!!
        assertTrue("none.tflite can't be read" in message, message)
        assertThrows(ModelException::class.java) { ModelFile.open(folder) }
        assertThrows(ModelException::class.java) { ModelFile.open(File(folder, "empty").apply { createNewFile() }) }
    }

    @Test
    fun `keys that are not known mean nothing`() {
        val file = open(ModelBytes.file(manifest + mapOf("later" to mapOf("a" to listOf(1, null))), vocabulary))
        assertEquals("classification", file.task)
        assertTrue("later" in file.manifest)
        assertNotEquals("", file.manifest)
        assertFalse(file.lengths.isEmpty())
    }
}
