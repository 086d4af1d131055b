package org.edgebert

/** What each code point is to the tokenizer, by the tables of [CharacterTables]. */
internal object Characters {
    const val REMOVED = 1
    const val SPACE = 2
    const val PUNCTUATION = 4
    const val CHINESE = 8
    const val MARK = 16
    const val DECOMPOSED = 32
    const val CASED = 64
    const val REORDERED = 128

    const val REPLACEMENT = 0xFFFD
    const val BLANK = 0x20

    private val lowercase = RangeMap.ofGroups(CharacterTables.lowercase)
    private val longLowercase = SequenceMap(CharacterTables.longLowercase)
    private val combiningClasses = RangeMap.ofGroups(CharacterTables.combiningClasses)
    private val decompositions by lazy { SequenceMap(CharacterTables.decompositions) }
    private val wordCharacters by lazy { RangeMap.ofSet(CharacterTables.wordCharacters) }
    private val nonspacingMarks by lazy { RangeMap.ofSet(CharacterTables.nonspacingMarks) }

    private val flags = CodePointTable(readFlags())

    /** A sum of the flags above. */
    fun flagsOf(code: Int): Int = flags[code]

    /** Whether text is split there: white space, which a few control characters are not. */
    fun isSpace(character: Char): Boolean =
        flagsOf(character.code) and SPACE != 0 || character in '\u001c'..'\u001f' || character == '\u0085' ||
            character == '\u000b' || character == '\u000c'

    /** Whether a token that must stand alone is not found beside it. */
    fun isWordCharacter(code: Int): Boolean = wordCharacters[code] != 0

    /** Whether it is a combining mark, which belongs to the word before (category Mn). */
    fun isNonspacingMark(code: Int): Boolean = nonspacingMarks[code] != 0

    /** The canonical combining class of a code point with the flag [REORDERED]. */
    fun combiningClass(code: Int): Int = combiningClasses[code]

    /** Calls back with each code point of the lowercase of one with the flag [CASED]. */
    inline fun forEachLowercase(code: Int, visit: (Int) -> Unit) {
        val delta = lowercaseDelta(code)
        if (delta != 0) visit(code + delta) else longLowercase().forEach(code, visit)
    }

    /** Calls back with each code point that one with the flag [DECOMPOSED] is taken apart into. */
    inline fun forEachPart(code: Int, visit: (Int) -> Unit) {
        val syllable = code - Hangul.FIRST_SYLLABLE
        if (syllable < 0 || syllable >= Hangul.SYLLABLES) {
            decompositions().forEach(code, visit)
            return
        }
        visit(Hangul.FIRST_LEAD + syllable / Hangul.OF_A_LEAD)
        visit(Hangul.FIRST_VOWEL + syllable % Hangul.OF_A_LEAD / Hangul.TRAILS)
        val trail = syllable % Hangul.TRAILS
        if (trail != 0) visit(Hangul.BEFORE_FIRST_TRAIL + trail)
    }

    fun lowercaseDelta(code: Int): Int = lowercase[code]

    fun longLowercase(): SequenceMap = longLowercase

    fun decompositions(): SequenceMap = decompositions

    private fun readFlags(): ByteArray {
        val flags = ByteArray(CodePointTable.CODE_POINTS)
        fun set(table: String, flag: Int) = readRanges(table, 0, table.length) { start, end ->
            for (code in start until end) flags[code] = (flags[code].toInt() or flag).toByte()
        }
        set(CharacterTables.removed, REMOVED)
        set(CharacterTables.spaces, SPACE)
        set(CharacterTables.punctuation, PUNCTUATION)
        set(CharacterTables.chineseCharacters, CHINESE)
        set(CharacterTables.marks, MARK)
        set(CharacterTables.decomposed, DECOMPOSED)
        fun setEach(code: Int, flag: Int) {
            flags[code] = (flags[code].toInt() or flag).toByte()
        }
        lowercase.forEachCode { setEach(it, CASED) }
        longLowercase.forEachCode { setEach(it, CASED) }
        combiningClasses.forEachCode { setEach(it, REORDERED) }
        return flags
    }
}

/** How the syllables of Hangul are made up (Unicode Standard, section 3.12). */
internal object Hangul {
    const val FIRST_SYLLABLE = 0xAC00
    const val FIRST_LEAD = 0x1100
    const val FIRST_VOWEL = 0x1161
    const val BEFORE_FIRST_TRAIL = 0x11A7
    const val TRAILS = 28
    const val OF_A_LEAD = 21 * TRAILS
    const val SYLLABLES = 19 * OF_A_LEAD
}
