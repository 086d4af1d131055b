package org.edgebert

import java.io.File
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Assumptions.assumeTrue
import org.junit.jupiter.api.Test

/** The strings that make_tokenizer_strings.py and make_unigram_strings.py make, with what Python gives. */
class TokenizerStringsTest {
    @Test
    fun `made-up strings give Python's token ids, segment ids and places`() {
        val paths = System.getProperty("edgebert.strings").orEmpty()
        assumeTrue(paths.isNotEmpty(), "no file of strings: make android makes them")
        for (path in paths.split(File.pathSeparator)) check(File(path))
    }

    private fun check(file: File) {
        var count = 0
        file.useLines { lines ->
            val rows = lines.map { Json.read(it) }.iterator()
            val tokenizers = (rows.next() as Map<*, *>).mapValues { Golden.tokenizer(it.value as Map<*, *>) }
            for (row in rows) {
                check(row as List<*>, tokenizers)
                count++
            }
        }
        println("${file.name}: $count strings, no difference")
        assertTrue(count > 0)
    }

    private fun check(row: List<*>, tokenizers: Map<Any?, Tokenizer>) {
        val (name, text, pair, length) = row
        val encoding = tokenizers.getValue(name)
            .encode(text as String, pair as String?, (length as Long?)?.toInt() ?: Int.MAX_VALUE)
        val tokens = Golden.ints(row[4]).chunked(4)
        val places = Golden.inUnits(tokens.map { it[0] }, tokens.map { it.drop(2) }, text, pair)
        val expected = tokens.mapIndexed { index, token -> token.take(2) + places[index] }
        val received = List(encoding.size) {
            listOf(encoding.tokenIds[it], encoding.segmentIds[it], encoding.starts[it], encoding.ends[it])
        }
        assertEquals(expected, received) { "$name: ${ModelBytes.json(text)}, ${ModelBytes.json(pair)}, $length" }
    }
}
