package org.edgebert

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** The tokenizer gives what the `tokenizers` library gives. */
class TokenizerCasesTest {
    @TestFactory
    fun `token ids, segment ids and offsets of hard texts`(): List<DynamicTest> =
        cases("wordpiece_cases.json") + cases("unigram_cases.json")

    private fun cases(file: String): List<DynamicTest> {
        val content = Golden.read(file)
        val tokenizers = (content["vocabularies"] as Map<*, *>).mapValues { Golden.tokenizer(it.value as Map<*, *>) }
        val cases = Golden.objects(content["cases"])
        assertTrue(cases.size >= 600)
        return cases.map { case ->
            DynamicTest.dynamicTest("${case["vocabulary"]}: ${case["name"]}") {
                check(case, tokenizers.getValue(case["vocabulary"]))
            }
        }
    }

    private fun check(case: Map<*, *>, tokenizer: Tokenizer) {
        val text = case["text"] as String
        val pair = case["pair"] as String?
        val encoding = tokenizer.encode(text, pair, (case["max_length"] as Long?)?.toInt() ?: Int.MAX_VALUE)
        assertEquals(Golden.ints(case["token_ids"]), encoding.tokenIds.toList())
        assertEquals(Golden.ints(case["segment_ids"]), encoding.segmentIds.toList())
        val offsets = (case["offsets"] as List<*>).map(Golden::ints)
        val expected = Golden.inUnits(Golden.ints(case["token_ids"]), offsets, text, pair)
        assertEquals(expected, encoding.starts.zip(encoding.ends) { start, end -> listOf(start, end) })
    }

    @Test
    fun `token ids with BERT's own vocabulary`() {
        val file = Golden.data()?.let { File(it, "vocab/bert_uncased_vocab.txt") }
        assumeTrue(file != null && file.isFile, "no vocabulary of BERT: set EDGEBERT_DATA to the data sets' folder")
        val content = Golden.read("tokenizer_cases.json")
        val settings = TokenizerSettings(Fields(mapOf("lowercase" to content["lowercase"]), ""))
        val tokenizer = Tokenizer(Vocabulary.read(file!!.readBytes())!!, settings, true)
        assertEquals((content["vocabulary_size"] as Long).toInt(), tokenizer.vocabularySize)
        for (case in Golden.objects(content["cases"])) {
            val length = (case["max_length"] as Long?)?.toInt() ?: Int.MAX_VALUE
            val encoding = tokenizer.encode(case["text"] as String, null, length)
            assertEquals(Golden.ints(case["token_ids"]), encoding.tokenIds.toList(), case["name"] as String)
        }
    }
}
