package org.edgebert

/**
 * WordPiece: text in, token ids with their places in the text out, as `edgebert.tokenizer` gives
 * them. Threads may share one.
 */
public class Tokenizer internal constructor() {
    /** How many tokens the vocabulary has. */
    public val vocabularySize: Int get() = TODO()

    /** The token id that fills an input up. */
    public val padId: Int get() = TODO()

    /** The token of an id. */
    public fun token(id: Int): String = TODO()

    /**
     * Encodes a text, or a pair of texts. Any text is taken: control characters vanish, and so do lone
     * surrogates; an empty text gives `[CLS] [SEP]`.
     *
     * @param maxLength cuts the encoding to so many tokens, special ones included; `[CLS]` and `[SEP]`
     *   stay. Of a pair, tokens are cut from the longer text first.
     * @throws IllegalArgumentException [maxLength] leaves no room for the special tokens.
     */
    @JvmOverloads
    public fun encode(text: String, pair: String? = null, maxLength: Int = Int.MAX_VALUE): Encoding =
        TODO()
}
