package org.edgebert

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Test

class JsonTest {
    @Test
    fun `values of every kind`() {
        assertEquals(
            mapOf("a" to listOf(1L, -2.5, 1e3, true, false, null), "b\n\"\u00E9\uD83D\uDE00" to emptyMap<String, Any>()),
            Json.read(" {\"a\" : [1, -2.5, 1e3, true, false, null],\n\"b\\n\\\"\\u00e9\\ud83d\\uDE00\":{}} "),
        )
        assertEquals(listOf(Double.NaN, Double.NEGATIVE_INFINITY), Json.read("[NaN,-Infinity]"))
        assertEquals(1e30, Json.read("1000000000000000000000000000000"))
        assertEquals("\uD800", Json.read("\"\\ud800\""))
    }

    @Test
    fun `what is no JSON is refused`() {
        val bad = listOf(
            "", " ", "{", "[1,]", "{\"a\"}", "{a:1}", "01", "1.", "-", ".5", "1e", "tru", "\"a", "\"\\x\"", "\"\\u12g4\"",
            "\"\n\"", "[1] 2", "{\"a\":1,}", "+1", "[".repeat(5000),
        )
        for (text in bad) assertThrows(JsonException::class.java, { Json.read(text) }, text)
    }
}
