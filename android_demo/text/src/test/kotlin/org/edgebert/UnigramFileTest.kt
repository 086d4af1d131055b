package org.edgebert

import java.nio.ByteBuffer
import java.util.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** Files with a Unigram vocabulary: those that are sound, and what is said of those that are not. */
class UnigramFileTest {
    private val golden = (Golden.read("unigram_cases.json")["vocabularies"] as Map<*, *>)["xlm-roberta"] as Map<*, *>
    private val vocabulary = (golden["tokens"] as List<*>).joinToString("") { "$it\n" }
    private val settings = (golden["settings"] as Map<*, *>).entries.associate { it.key as String to it.value }
    private val files = Golden.files(golden)

    private fun bytes(
        settings: Map<String, Any?> = this.settings,
        files: Map<String, ByteArray> = this.files,
    ): ByteArray {
        val more = mapOf("format" to 2, "tokenizer" to settings)
        return ModelBytes.file(ModelBytes.manifest(vocabulary, more = more), vocabulary, files)
    }

    private fun open(bytes: ByteArray): ModelFile = ModelFile.of(ByteBuffer.wrap(bytes), "model.tflite")

    private fun refused(bytes: ByteArray): String =
        assertThrows(ModelException::class.java) { open(bytes) }.message!!

    @Test
    fun `a sound file`() {
        val tokenizer = open(bytes()).tokenizer
        val encoding = tokenizer.encode("the  ﬁlm", "the")
        assertEquals("the", "the  ﬁlm".substring(encoding.starts[1], encoding.ends[1]))
        assertEquals("▁the", tokenizer.token(encoding.tokenIds[1]))
        val separators = encoding.tokenIds.toList().indices.filter { tokenizer.token(encoding.tokenIds[it]) == "</s>" }
        assertEquals(listOf(encoding.size - 4, encoding.size - 3, encoding.size - 1), separators)
        assertTrue(encoding.segmentIds.all { it == 0 })
    }

    @Test
    fun `files that are missing or damaged`() {
        val scores = files.getValue("piece_scores.bin")
        val map = files.getValue("charsmap.bin")
        for ((broken, said) in listOf(
            files - "piece_scores.bin" to "no piece_scores.bin inside",
            files - "charsmap.bin" to "a character map for precompiled",
            files + ("piece_scores.bin" to scores.copyOf(scores.size - 1)) to "expected 8 bytes for each score",
            files + ("piece_scores.bin" to scores + scores) to "expected scores of at most",
            files + ("piece_scores.bin" to ByteArray(8)) to "<unk> among them. Received: 1",
            files + ("charsmap.bin" to map.copyOf(3)) to "cut short or damaged",
            files + ("charsmap.bin" to map.copyOf(2000)) to "cut short or damaged",
            files + ("charsmap.bin" to map + 0x80.toByte()) to "not UTF-8",
        )) {
            val message = refused(bytes(files = broken))
            assertTrue(said in message && "Next:" in message, message)
        }
    }

    @Test
    fun `rules that are not known`() {
        val space = settings["metaspace"] as Map<*, *>
        for ((key, value, said) in listOf(
            Triple("kind", "bpe", "wordpiece or unigram. Received: bpe"),
            Triple("normalizers", listOf(mapOf("type" to "nfkc")), "Received: nfkc"),
            Triple("metaspace", space + ("replacement" to "__"), "metaspace of one character"),
            Triple("metaspace", space + ("prepend_scheme" to "last"), "Received: \"▁\", last"),
            Triple("pair_separators", 3, "1 or 2 separators"),
            Triple("second_segment", 2, "segment 0 or 1"),
            Triple("unknown_token", "<none>", "\"<none>\" is not in the vocabulary"),
        )) {
            val message = refused(bytes(settings + (key to value)))
            assertTrue(said in message || key == "unknown_token", message)
            assertTrue("Next:" in message, message)
        }
    }

    @Test
    fun `a file with damaged bytes is read or refused, and nothing else`() {
        val sound = bytes()
        val random = Random(15)
        val text = "the music café 안녕 \u0000\u2460\u0301 \ud83d\ude00 \ud800"
        repeat(1500) {
            val damaged = sound.copyOf()
            repeat(1 + random.nextInt(20)) { damaged[random.nextInt(damaged.size)] = random.nextInt(256).toByte() }
            try {
                open(damaged).tokenizer.encode(text)
            } catch (error: ModelException) {
                assertTrue("Next:" in error.message!!, error.message)
            }
        }
    }
}
