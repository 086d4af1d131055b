package org.edgebert

/** A token that is looked for in the text as a whole; flags as `tokenizers` has them. */
internal class WholeToken(
    val id: Int,
    val content: String,
    val normalized: Boolean = false,
    val singleWord: Boolean = false,
    val takesBefore: Boolean = false,
    val takesBehind: Boolean = false,
)

/** The tokens of a vocabulary that are found whole, by the manifest's object `tokenizer`. */
internal class SpecialTokens(fields: Fields) {
    val unknownToken: String = fields.stringOr("unknown_token", "[UNK]")
    val clsToken: String = fields.stringOr("cls_token", "[CLS]")
    val sepToken: String = fields.stringOr("sep_token", "[SEP]")
    val padToken: String = fields.stringOr("pad_token", "[PAD]")
    val maskToken: String = fields.stringOr("mask_token", "[MASK]")
    private val added: List<Fields> = fields.objectsOr("added_tokens")

    /** The five special tokens. */
    val names: List<String> get() = listOf(unknownToken, clsToken, sepToken, padToken, maskToken)

    /**
     * Every token that is found whole, the special ones too.
     *
     * @throws ModelException one is not in the vocabulary.
     */
    fun wholeTokens(vocabulary: Vocabulary): List<WholeToken> {
        val found = LinkedHashMap<String, WholeToken>()
        for (content in names) found[content] = WholeToken(idOf(content, vocabulary), content)
        for (entry in added) {
            val content = entry.string("content")
            found[content] = WholeToken(
                idOf(content, vocabulary),
                content,
                entry.booleanOrNull("normalized") ?: false,
                entry.booleanOrNull("single_word") ?: false,
                entry.booleanOrNull("lstrip") ?: false,
                entry.booleanOrNull("rstrip") ?: false,
            )
        }
        return found.values.toList()
    }

    private fun idOf(content: String, vocabulary: Vocabulary): Int {
        val id = vocabulary.idOf(content)
        if (id < 0) throw ModelException("the special token \"$content\" is not in the vocabulary")
        return id
    }
}

/** The rules of a WordPiece vocabulary. */
internal class WordPieceSettings(fields: Fields, val special: SpecialTokens) {
    val lowercase: Boolean = fields.boolean("lowercase")
    val stripAccents: Boolean = fields.booleanOrNull("strip_accents") ?: lowercase
    val splitChinese: Boolean = fields.booleanOrNull("split_chinese_characters") ?: true
    val longestWord: Int = fields.intOr("max_input_chars_per_word", 100)
    val continuingPrefix: String = fields.stringOr("continuing_prefix", "##")
}

/** A step of the text rules of a Unigram vocabulary. */
internal class TextStep(fields: Fields) {
    val type: String = fields.string("type")
    val content: String = fields.stringOr("content", "")
    val left: Boolean = fields.booleanOrNull("left") ?: false
    val right: Boolean = fields.booleanOrNull("right") ?: false
}

/** The rules of a Unigram vocabulary. */
internal class UnigramSettings(fields: Fields, val special: SpecialTokens) {
    val steps: List<TextStep> = fields.objectsOr("normalizers").map(::TextStep)
    val splitsAtSpace: Boolean = fields.boolean("whitespace_split")
    val pairSeparators: Int = fields.int("pair_separators")
    val secondSegment: Int = fields.int("second_segment")
    private val metaspace = fields.fields("metaspace")
    val replacement: String = metaspace.string("replacement")
    val prependScheme: String = metaspace.string("prepend_scheme")
    val splitsAtMark: Boolean = metaspace.boolean("split")
}

/** The kind of a vocabulary and its rules: the manifest's object `tokenizer`. */
internal class TokenizerSettings(private val fields: Fields) {
    val special: SpecialTokens = SpecialTokens(fields)
    private val kind = fields.stringOr("kind", WORD_PIECE)
    val isUnigram: Boolean get() = kind == UNIGRAM

    init {
        if (kind != WORD_PIECE && kind != UNIGRAM) {
            throw ModelException(
                "expected a tokenizer of the kind $WORD_PIECE or $UNIGRAM. Received: $kind. Next: update the library",
            )
        }
    }

    /**
     * The tables that texts are split by.
     *
     * @param pieces what a Unigram vocabulary has beside its tokens.
     * @throws ModelException the vocabulary and the rules don't agree.
     */
    fun tables(vocabulary: Vocabulary, pieces: UnigramPieces?): SplitterTables = when {
        !isUnigram -> WordPieceTables(vocabulary, WordPieceSettings(fields, special))
        pieces == null -> throw ModelException("its pieces have no scores")
        else -> UnigramTables(vocabulary, UnigramSettings(fields, special), pieces)
    }

    private companion object {
        const val WORD_PIECE = "wordpiece"
        const val UNIGRAM = "unigram"
    }
}

/** An object of JSON whose values must have a type. */
internal class Fields(private val values: Map<*, *>, private val path: String) {
    /** @throws ModelException as all of these: it is not there, or of another type. */
    fun string(key: String): String = values[key] as? String ?: fail(key, "a string")

    fun stringOr(key: String, default: String): String = if (has(key)) string(key) else default

    fun int(key: String): Int = number(key).toInt()

    fun intOr(key: String, default: Int): Int = if (has(key)) int(key) else default

    fun doubleOr(key: String, default: Double): Double = doubleOrNull(key) ?: default

    /** Null where it is null or not there. */
    fun doubleOrNull(key: String): Double? =
        values[key]?.let { (it as? Number)?.toDouble() ?: fail(key, "a number") }

    fun boolean(key: String): Boolean = values[key] as? Boolean ?: fail(key, "true or false")

    /** Null where it is null or not there. */
    fun booleanOrNull(key: String): Boolean? =
        values[key]?.let { it as? Boolean ?: fail(key, "true or false") }

    fun fields(key: String): Fields =
        Fields(values[key] as? Map<*, *> ?: fail(key, "an object"), "$path$key.")

    fun strings(key: String): List<String> = list(key).map { it as? String ?: fail(key, "strings") }

    fun ints(key: String): List<Int> = list(key).map {
        if (it is Long && it in 0..Int.MAX_VALUE) it.toInt() else fail(key, "whole numbers")
    }

    fun objectsOr(key: String): List<Fields> = if (!has(key)) emptyList() else list(key).map {
        Fields(it as? Map<*, *> ?: fail(key, "objects"), "$path$key.")
    }

    fun has(key: String): Boolean = values.containsKey(key)

    private fun number(key: String): Long {
        val value = values[key]
        return if (value is Long && value in Int.MIN_VALUE..Int.MAX_VALUE) value else fail(key, "a whole number")
    }

    private fun list(key: String): List<*> = values[key] as? List<*> ?: fail(key, "a list")

    private fun fail(key: String, expected: String): Nothing {
        val received = if (has(key)) values[key].toString().take(SHOWN) else "nothing"
        throw ModelException("$path$key: expected $expected. Received: $received")
    }

    private companion object {
        const val SHOWN = 60
    }
}
