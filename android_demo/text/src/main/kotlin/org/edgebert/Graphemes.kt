package org.edgebert

/** Where grapheme clusters end: Unicode Standard Annex 29, as the `tokenizers` library has it. */
internal object Graphemes {
    private const val CONTROL = 1
    private const val EXTEND = 2
    private const val LINKER = 3
    private const val JOINER = 4
    private const val SPACING_MARK = 5
    private const val PREPEND = 6
    private const val CONSONANT = 7
    private const val PICTOGRAPH = 8

    // Hangul: a leading consonant, a vowel, a trailing consonant, syllables of two and of three.
    private const val L = 9
    private const val V = 10
    private const val T = 11
    private const val LV = 12
    private const val LVT = 13

    private const val LINE_FEED = 0x0A
    private const val CARRIAGE_RETURN = 0x0D
    private const val NON_JOINER = 0x200C
    private const val ZERO_WIDTH_JOINER = 0x200D

    /** A code point below continues a cluster behind few others only. */
    const val FIRST_JOINING = 0x300

    private val classes = CodePointTable(readClasses())

    /** Where the cluster ends that starts at a place. */
    fun clusterEnd(codes: IntArray, start: Int, end: Int): Int {
        var before = classes[codes[start]]
        var isPictograph = before == PICTOGRAPH // a pictograph and Extend* so far
        var isConsonant = before == CONSONANT // a consonant and marks of its conjunct so far
        var isLinked = false // with a linker among them
        for (place in start + 1 until end) {
            val code = codes[place]
            if (code < FIRST_JOINING && before != PREPEND && before != JOINER) {
                val isLineEnd = code == LINE_FEED && codes[place - 1] == CARRIAGE_RETURN
                return if (isLineEnd) place + 1 else place
            }
            val next = classes[code]
            val continues = before != CONTROL && next != CONTROL && (
                joins(before, next) ||
                    (next == CONSONANT && isConsonant && isLinked) ||
                    (next == PICTOGRAPH && before == JOINER && isPictograph)
                )
            if (!continues) return place
            val isMark = next == EXTEND || next == LINKER || next == JOINER
            isPictograph = next == PICTOGRAPH || (isPictograph && isMark && before != JOINER)
            isLinked = next != CONSONANT && (isLinked || next == LINKER)
            isConsonant = next == CONSONANT || (isConsonant && isMark && code != NON_JOINER)
            before = next
        }
        return end
    }

    /** Whether two classes join wherever they meet: rules GB6 to GB9b. */
    private fun joins(before: Int, next: Int): Boolean = when {
        next in EXTEND..SPACING_MARK || before == PREPEND -> true
        before == L -> next == L || next == V || next == LV || next == LVT
        before == V || before == LV -> next == V || next == T
        else -> (before == T || before == LVT) && next == T
    }

    private fun readClasses(): ByteArray {
        val found = ByteArray(CodePointTable.CODE_POINTS)
        fun set(table: String, value: Int) = readRanges(table, 0, table.length) { start, end ->
            found.fill(value.toByte(), start, end)
        }
        set(GraphemeTables.controls, CONTROL)
        set(GraphemeTables.extenders, EXTEND)
        set(GraphemeTables.linkers, LINKER)
        set(GraphemeTables.spacingMarks, SPACING_MARK)
        set(GraphemeTables.prepended, PREPEND)
        set(GraphemeTables.consonants, CONSONANT)
        set(GraphemeTables.pictographs, PICTOGRAPH)
        fun setAll(codes: IntRange, value: Int) = found.fill(value.toByte(), codes.first, codes.last + 1)
        setAll(0x1100..0x115F, L)
        setAll(0xA960..0xA97C, L)
        setAll(0x1160..0x11A7, V)
        setAll(0xD7B0..0xD7C6, V)
        setAll(0x11A8..0x11FF, T)
        setAll(0xD7CB..0xD7FB, T)
        val syllables = Hangul.FIRST_SYLLABLE until Hangul.FIRST_SYLLABLE + Hangul.SYLLABLES
        setAll(syllables, LVT)
        for (code in syllables step Hangul.TRAILS) found[code] = LV.toByte()
        found[LINE_FEED] = CONTROL.toByte()
        found[CARRIAGE_RETURN] = CONTROL.toByte()
        found[ZERO_WIDTH_JOINER] = JOINER.toByte()
        return found
    }
}
