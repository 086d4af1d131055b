package org.edgebert

import java.util.concurrent.atomic.AtomicReference

/**
 * Text in, token ids with their places in the text out, as `edgebert.encoding.tokenizer` gives them:
 * WordPiece, or Unigram of SentencePiece. Threads may share one.
 *
 * What a text has literally, such as `[SEP]`, becomes that token.
 */
public class Tokenizer internal constructor(
    private val vocabulary: Vocabulary,
    settings: TokenizerSettings,
    /** Whether the model tells the second text of a pair from the first one. */
    private val hasSegments: Boolean,
    /** What a Unigram vocabulary has beside its tokens. */
    pieces: UnigramPieces? = null,
) {
    private val tables = settings.tables(vocabulary, pieces)
    private val spare = AtomicReference<Splitter?>()

    internal val clsId: Int = vocabulary.idOf(settings.special.clsToken)
    internal val sepId: Int = vocabulary.idOf(settings.special.sepToken)
    internal val maskId: Int = vocabulary.idOf(settings.special.maskToken)
    internal val maskToken: String = settings.special.maskToken

    /** The token id that fills an input up. */
    public val padId: Int = vocabulary.idOf(settings.special.padToken)

    /** How many tokens the vocabulary has. */
    public val vocabularySize: Int get() = vocabulary.size

    /** The token of an id. */
    public fun token(id: Int): String = vocabulary[id]

    /** The places of the tokens that start a part of a text: a word, a punctuation mark or the like. */
    internal fun partStarts(tokens: TokenList): IntArray = tables.partStarts(tokens)

    /** The character for a space at the start of tokens; empty if they have none. */
    internal val space: String get() = tables.space

    /** How many separators stand between two texts. */
    internal val pairSeparators: Int get() = tables.pairSeparators

    /** The segment id of the second text of a pair. */
    internal val secondSegment: Int get() = if (hasSegments) tables.secondSegment else 0

    /**
     * Encodes a text, or a pair of texts. Any text is taken: a lone surrogate counts as U+FFFD, which
     * WordPiece leaves out, as it does control characters; an empty text gives `[CLS] [SEP]`.
     *
     * @param maxLength cuts the encoding to so many tokens, special ones included; `[CLS]` and `[SEP]`
     *   stay. Of a pair, tokens are cut from the longer text first.
     * @throws IllegalArgumentException [maxLength] leaves no room for the special tokens.
     */
    @JvmOverloads
    public fun encode(text: String, pair: String? = null, maxLength: Int = Int.MAX_VALUE): Encoding {
        val first = TokenList()
        val second = TokenList()
        splitPair(text, pair, maxLength, first, second)
        return Encoding.of(this, first, second.takeIf { pair != null })
    }

    /** Splits a text into tokens without the framing ones; it may stop when there are [limit]. */
    internal fun split(text: String, limit: Int, into: TokenList) {
        val splitter = spare.getAndSet(null) ?: tables.splitter()
        into.clear()
        splitter.split(text, limit, into)
        spare.set(splitter)
    }

    /** Splits a text, or a pair, and cuts it so that all tokens are [maxLength]. */
    internal fun splitPair(
        text: String,
        pair: String?,
        maxLength: Int,
        first: TokenList,
        second: TokenList,
    ) {
        val least = if (pair == null) 2 else 2 + pairSeparators
        require(maxLength >= least) {
            "Expected a maxLength of at least $least, for the special tokens. Received: $maxLength."
        }
        val room = maxLength - least
        second.clear()
        if (pair == null) {
            split(text, room, first)
            return first.cut(minOf(first.size, room))
        }
        split(text, Int.MAX_VALUE, first)
        split(pair, Int.MAX_VALUE, second)
        val isFirstShorter = first.size <= second.size
        val shorter = if (isFirstShorter) first else second
        val longer = if (isFirstShorter) second else first
        if (first.size + second.size > room) {
            shorter.cut(minOf(shorter.size, room / 2))
            longer.cut(room - shorter.size)
        }
    }
}
