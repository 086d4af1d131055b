package org.edgebert

/**
 * Tokens that are found whole.
 *
 * @param codesOf the code points that a token's content is looked for by.
 * @throws ModelException of a token nothing is left to look for, or the same as of another one.
 */
internal class WholeTokens(tokens: List<WholeToken>, codesOf: (String) -> IntArray) {
    /** Takes a part of a text: the id of the token that was found, or -1; its start and its end. */
    fun interface Visitor {
        fun visit(id: Int, start: Int, end: Int)
    }

    private class Sought(val token: WholeToken, val codes: IntArray)

    /** By their first code point, the longest first. */
    private val byFirst: Map<Int, List<Sought>>
    private val isAsciiFirst = BooleanArray(128)
    private val hasOtherFirst: Boolean

    val isEmpty: Boolean get() = byFirst.isEmpty()

    init {
        val sought = tokens.map { Sought(it, codesOf(it.content)) }
        val known = HashSet<List<Int>>()
        for (each in sought) {
            if (each.codes.isEmpty() || !known.add(each.codes.asList())) {
                val content = each.token.content
                throw ModelException(
                    "the text rules leave nothing of the token \"$content\", or the same as of another",
                )
            }
        }
        byFirst = sought.sortedByDescending { it.codes.size }.groupBy { it.codes[0] }
        for (first in byFirst.keys) if (first < 128) isAsciiFirst[first] = true
        hasOtherFirst = byFirst.keys.any { it >= 128 }
    }

    /** Gives every part of a text to a visitor, from the left. */
    fun split(text: CodeList, visitor: Visitor) {
        val size = text.size
        var done = 0
        var place = 0
        while (place < size) {
            val sought = longestAt(text, place)
            if (sought == null) {
                place++
                continue
            }
            val token = sought.token
            var start = place
            var end = place + sought.codes.size
            place = end
            if (token.singleWord && (isWordAt(text, start - 1) || isWordAt(text, end))) continue
            if (token.takesBefore) {
                while (start > 0 && isSpaceAt(text, start - 1)) start--
                start = maxOf(start, done) // the token before may have taken that white space
            }
            if (token.takesBehind) while (end < size && isSpaceAt(text, end)) end++
            if (done < start) visitor.visit(-1, done, start)
            visitor.visit(token.id, start, end)
            done = end
        }
        if (done < size) visitor.visit(-1, done, size)
    }

    private fun longestAt(text: CodeList, place: Int): Sought? {
        val first = text.codes[place]
        if (if (first < 128) !isAsciiFirst[first] else !hasOtherFirst) return null
        return byFirst[first]?.firstOrNull { isAt(it.codes, text, place) }
    }

    private fun isAt(sought: IntArray, text: CodeList, place: Int): Boolean {
        if (sought.size > text.size - place) return false
        for (index in sought.indices) if (text.codes[place + index] != sought[index]) return false
        return true
    }

    private fun isWordAt(text: CodeList, place: Int): Boolean =
        place in 0 until text.size && Characters.isWordCharacter(text.codes[place])

    private fun isSpaceAt(text: CodeList, place: Int): Boolean =
        Characters.flagsOf(text.codes[place]) and Characters.SPACE != 0
}
