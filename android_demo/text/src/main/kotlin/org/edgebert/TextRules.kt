package org.edgebert

/**
 * Text as WordPiece sees it: cleaned, without accents, in lower case.
 *
 * @property lowercase whether letters become lower-case.
 * @property stripAccents whether accents are taken off.
 * @property splitChinese whether each Chinese character is a word of its own.
 */
internal class TextRules(
    private val lowercase: Boolean,
    private val stripAccents: Boolean,
    private val splitChinese: Boolean,
) {
    /** What becomes of each ASCII character; -1 where it is taken out. */
    private val ascii = IntArray(128) { code ->
        val flags = Characters.flagsOf(code)
        when {
            flags and Characters.REMOVED != 0 -> -1
            flags and Characters.SPACE != 0 -> Characters.BLANK
            lowercase && code in 'A'.code..'Z'.code -> code + 32
            else -> code
        }
    }

    /**
     * Applies the rules to a part of a text.
     *
     * @param text where the part is; of each code point that comes of it, the place is that of the one
     *   it comes of.
     * @param work two lists that are written to.
     * @return the one of them that has the result.
     */
    fun normalize(text: CodeList, start: Int, end: Int, work: Work): CodeList {
        val cleaned = work.first
        cleaned.clear(end - start)
        val codes = text.codes
        val places = text.places
        var seen = 0
        for (index in start until end) {
            val code = codes[index]
            if (code < 128) {
                val kept = ascii[code]
                if (kept >= 0) cleaned.add(kept, places[index])
            } else {
                seen = seen or clean(code, places[index], cleaned)
            }
        }
        var result = cleaned
        if (stripAccents && seen and ACCENTED != 0) {
            work.accents.strip(cleaned, work.second)
            result = work.second
        }
        if (lowercase && seen and WITH_CASE != 0) {
            val lower = if (result === cleaned) work.second else cleaned
            toLowercase(result, lower)
            result = lower
        }
        return result
    }

    private fun clean(code: Int, place: Int, into: CodeList): Int {
        val flags = Characters.flagsOf(code)
        when {
            flags and Characters.REMOVED != 0 -> return 0
            flags and Characters.SPACE != 0 -> into.add(Characters.BLANK, place)
            flags and Characters.CHINESE != 0 && splitChinese -> {
                into.add(Characters.BLANK, place)
                into.add(code, place)
                into.add(Characters.BLANK, place)
            }
            else -> into.add(code, place)
        }
        return flags
    }

    private fun toLowercase(from: CodeList, into: CodeList) {
        into.clear(from.size)
        for (index in 0 until from.size) {
            val code = from.codes[index]
            val place = from.places[index]
            if (code >= 128 && Characters.flagsOf(code) and Characters.CASED != 0) {
                Characters.forEachLowercase(code) { into.add(it, place) }
            } else if (code < 128) {
                into.add(ascii[code], place)
            } else {
                into.add(code, place)
            }
        }
    }

    /** What [normalize] writes to. */
    class Work {
        val first = CodeList()
        val second = CodeList()
        val accents = AccentStripper()
    }

    private companion object {
        const val ACCENTED = Characters.DECOMPOSED or Characters.REORDERED or Characters.MARK
        const val WITH_CASE = Characters.DECOMPOSED or Characters.CASED
    }
}

/** Takes letters and accents apart (NFD), and leaves out the accents. */
internal class AccentStripper {
    // A letter and its marks, which are put in the order of their combining classes.
    private var codes = IntArray(16)
    private var keys = IntArray(16) // combining class, and whether it is the first part of a letter
    private var length = 0
    private var used = 0 // how many code points of the text are in the result

    fun strip(from: CodeList, into: CodeList) {
        into.clear(from.size)
        used = 0
        length = 0
        for (index in 0 until from.size) {
            val code = from.codes[index]
            if (code >= 128 && Characters.flagsOf(code) and Characters.DECOMPOSED != 0) {
                var isFirst = true
                Characters.forEachPart(code) { part ->
                    add(part, isFirst, from, into)
                    isFirst = false
                }
            } else {
                add(code, true, from, into)
            }
        }
        finish(from, into)
        if (codes.size > KEPT_SIZE) {
            codes = IntArray(16)
            keys = IntArray(16)
        }
    }

    private fun add(code: Int, isFirst: Boolean, from: CodeList, into: CodeList) {
        val isReordered = code >= 128 && Characters.flagsOf(code) and Characters.REORDERED != 0
        val order = if (isReordered) Characters.combiningClass(code) else 0
        if (order == 0) finish(from, into)
        if (length == codes.size) {
            codes = codes.copyOf(2 * length)
            keys = keys.copyOf(2 * length)
        }
        codes[length] = code
        keys[length] = order * 2 + (if (isFirst) 1 else 0)
        length++
    }

    private fun finish(from: CodeList, into: CodeList) {
        if (length > SHORT) sortByCounting() else sortByInsertion()
        for (index in 0 until length) {
            if (keys[index] and 1 != 0) used++
            val code = codes[index]
            if (code >= 128 && Characters.flagsOf(code) and Characters.MARK != 0) continue
            // As in the library: of marks that change places, each has the place where it comes to stand.
            into.add(code, from.places[used - 1])
        }
        length = 0
    }

    private fun sortByInsertion() {
        for (index in 1 until length) {
            val code = codes[index]
            val key = keys[index]
            var hole = index
            while (hole > 0 && keys[hole - 1] shr 1 > key shr 1) {
                codes[hole] = codes[hole - 1]
                keys[hole] = keys[hole - 1]
                hole--
            }
            codes[hole] = code
            keys[hole] = key
        }
    }

    private fun sortByCounting() {
        val starts = IntArray(CLASSES + 1)
        for (index in 0 until length) starts[(keys[index] shr 1) + 1]++
        for (order in 1..CLASSES) starts[order] += starts[order - 1]
        val sortedCodes = IntArray(codes.size)
        val sortedKeys = IntArray(codes.size)
        for (index in 0 until length) {
            val place = starts[keys[index] shr 1]++
            sortedCodes[place] = codes[index]
            sortedKeys[place] = keys[index]
        }
        codes = sortedCodes
        keys = sortedKeys
    }

    private companion object {
        const val CLASSES = 256
        const val SHORT = 32
        const val KEPT_SIZE = 1 shl 12
    }
}
