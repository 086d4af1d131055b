package org.edgebert

/**
 * The text rules of a Unigram vocabulary.
 *
 * @throws ModelException a step is not known, or there is no character map for it.
 */
internal class UnigramRules(steps: List<TextStep>, private val map: CharacterMap?) {
    private val steps = steps.map(::Step)

    private inner class Step(step: TextStep) {
        val type = step.type
        val content = decoded(step.content)
        val left = step.left
        val right = step.right

        init {
            if (type !in TYPES || (type == PRECOMPILED && map == null)) {
                throw ModelException(
                    "expected text rules of $TYPES, and a character map for $PRECOMPILED. Received: $type. " +
                        "Next: update the library",
                )
            }
        }
    }

    /** Applies the rules to a part of a text; gives the one of the lists of [work] that has the result. */
    fun normalize(text: CodeList, start: Int, end: Int, work: Work): CodeList {
        var from = work.first
        var into = work.second
        from.clear(end - start)
        for (place in start until end) from.add(text.codes[place], text.places[place])
        for (step in steps) {
            when (step.type) {
                PRECOMPILED -> map!!.apply(from, into)
                REPLACE_SPACES -> replaceRuns(from, step.content, into)
                else -> strip(from, step.left, step.right, into)
            }
            val done = into
            into = from
            from = done
        }
        return from
    }

    /** The code points that the rules leave of a token. */
    fun normalized(content: String): IntArray {
        val text = CodeList()
        decode(content, text)
        val result = normalize(text, 0, text.size, Work())
        return result.codes.copyOf(result.size)
    }

    /** Puts something else in place of two or more blanks. */
    private fun replaceRuns(from: CodeList, content: IntArray, into: CodeList) {
        into.clear(from.size)
        var place = 0
        while (place < from.size) {
            val first = place++
            if (from.codes[first] == Characters.BLANK) {
                while (place < from.size && from.codes[place] == Characters.BLANK) place++
            }
            if (place - first == 1) {
                into.add(from.codes[first], from.places[first])
            } else {
                for (code in content) into.add(code, from.places[place - 1])
            }
        }
    }

    private fun strip(from: CodeList, left: Boolean, right: Boolean, into: CodeList) {
        var start = 0
        var end = from.size
        while (left && start < end && isSpaceAt(from, start)) start++
        while (right && start < end && isSpaceAt(from, end - 1)) end--
        into.clear(end - start)
        for (place in start until end) into.add(from.codes[place], from.places[place])
    }

    private fun isSpaceAt(text: CodeList, place: Int): Boolean =
        Characters.flagsOf(text.codes[place]) and Characters.SPACE != 0

    /** What [normalize] writes to. */
    class Work {
        val first = CodeList()
        val second = CodeList()
    }

    private companion object {
        const val PRECOMPILED = "precompiled"
        const val REPLACE_SPACES = "replace_spaces"
        val TYPES = listOf(PRECOMPILED, REPLACE_SPACES, "strip")
    }
}
