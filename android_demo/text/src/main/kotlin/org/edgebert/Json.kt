package org.edgebert

/** What is wrong with a JSON text, and where. */
internal class JsonException(message: String) : Exception(message)

/**
 * Reads JSON (RFC 8259) into maps, lists, strings, `Long`, `Double`, booleans and null. `NaN`,
 * `Infinity` and `-Infinity` are taken as numbers, since Python writes them.
 */
internal class Json private constructor(private val text: String) {
    private var place = 0
    private var depth = 0

    private fun value(): Any? {
        skipSpace()
        return when (val character = peek()) {
            '{' -> nested { readObject() }
            '[' -> nested { readArray() }
            '"' -> string()
            't' -> word("true", true)
            'f' -> word("false", false)
            'n' -> word("null", null)
            'N' -> word("NaN", Double.NaN)
            'I' -> word("Infinity", Double.POSITIVE_INFINITY)
            else -> if (character == '-' || character in '0'..'9') number() else fail("a value")
        }
    }

    private inline fun <T> nested(read: () -> T): T {
        if (++depth > DEEPEST) fail("at most $DEEPEST levels")
        place++
        val found = read()
        depth--
        return found
    }

    private fun readObject(): Map<String, Any?> {
        val found = LinkedHashMap<String, Any?>()
        skipSpace()
        if (take('}')) return found
        do {
            skipSpace()
            val key = string()
            skipSpace()
            expect(':')
            found[key] = value()
            skipSpace()
        } while (take(','))
        expect('}')
        return found
    }

    private fun readArray(): List<Any?> {
        val found = ArrayList<Any?>()
        skipSpace()
        if (take(']')) return found
        do {
            found.add(value())
            skipSpace()
        } while (take(','))
        expect(']')
        return found
    }

    private fun string(): String {
        expect('"')
        val start = place
        while (place < text.length && text[place] != '"' && text[place] != '\\') checked()
        if (peek() == '"') return text.substring(start, place++)
        val found = StringBuilder().append(text, start, place)
        while (true) {
            when (peek()) {
                '"' -> {
                    place++
                    return found.toString()
                }
                '\\' -> found.append(escaped())
                else -> found.append(checked())
            }
        }
    }

    private fun checked(): Char {
        if (text[place] < ' ') fail("no control character in a string")
        return text[place++]
    }

    private fun escaped(): Char {
        place++
        val character = peek()
        place++
        return when (character) {
            '"', '\\', '/' -> character
            'b' -> '\b'
            'f' -> '\u000c'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> hex()
            else -> fail("an escape")
        }
    }

    private fun hex(): Char {
        var code = 0
        repeat(4) {
            val digit = when (val character = peek()) {
                in '0'..'9' -> character - '0'
                in 'a'..'f' -> character - 'a' + 10
                in 'A'..'F' -> character - 'A' + 10
                else -> fail("a hex digit")
            }
            code = code * 16 + digit
            place++
        }
        return code.toChar()
    }

    private fun number(): Any {
        val start = place
        take('-')
        if (place < text.length && text[place] == 'I') {
            word("Infinity", null)
            return Double.NEGATIVE_INFINITY
        }
        if (!take('0')) digits()
        val wholeEnd = place
        if (take('.')) digits()
        if (take('e') || take('E')) {
            if (!take('+')) take('-')
            digits()
        }
        val digits = text.substring(start, place)
        val whole = if (place == wholeEnd) digits.toLongOrNull() else null
        return whole ?: digits.toDouble()
    }

    private fun digits() {
        val start = place
        while (place < text.length && text[place] in '0'..'9') place++
        if (place == start) fail("a digit")
    }

    private fun <T> word(word: String, value: T): T {
        if (!text.startsWith(word, place)) fail(word)
        place += word.length
        return value
    }

    private fun skipSpace() {
        while (place < text.length && (text[place] == ' ' || text[place] in "\n\r\t")) place++
    }

    private fun peek(): Char = if (place < text.length) text[place] else fail("more text")

    private fun take(character: Char): Boolean {
        val there = place < text.length && text[place] == character
        if (there) place++
        return there
    }

    private fun expect(character: Char) {
        if (!take(character)) fail("'$character'")
    }

    private fun fail(expected: String): Nothing {
        val received = if (place < text.length) "'${text[place]}'" else "the end"
        throw JsonException("expected $expected at character $place, received $received")
    }

    companion object {
        private const val DEEPEST = 100

        /** @throws JsonException it is no JSON. */
        fun read(text: String): Any? {
            val json = Json(text)
            val found = json.value()
            json.skipSpace()
            if (json.place < text.length) json.fail("the end")
            return found
        }
    }
}
