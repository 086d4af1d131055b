package org.edgebert

/**
 * A text, or a pair of texts, as a model takes it: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, of some
 * vocabularies `[CLS] A [SEP] [SEP] B [SEP]`, never padded. The arrays are the encoding's own: do not write to them.
 *
 * @property tokenIds `[tokens]`.
 * @property segmentIds `[tokens]`: 1 for the tokens of B and the `[SEP]` after it, 0 before; all 0 of
 *   some vocabularies.
 * @property starts `[tokens]`: where each token begins in its own text, in UTF-16 code units; 0 of
 *   the tokens that frame the texts.
 * @property ends `[tokens]`: where it ends.
 */
public class Encoding internal constructor(
    public val tokenIds: IntArray,
    public val segmentIds: IntArray,
    public val starts: IntArray,
    public val ends: IntArray,
) {
    /** Tokens, the framing ones included. */
    public val size: Int get() = tokenIds.size

    internal companion object {
        /** Puts `[CLS]` before the texts and `[SEP]` after each. */
        fun of(tokenizer: Tokenizer, first: TokenList, second: TokenList?): Encoding {
            val framed = first.size + 1 + if (second == null) 1 else tokenizer.pairSeparators
            val size = framed + if (second == null) 0 else second.size + 1
            val encoding = Encoding(IntArray(size), IntArray(size), IntArray(size), IntArray(size))
            encoding.tokenIds[0] = tokenizer.clsId
            encoding.copy(first, 1, tokenizer.sepId)
            if (second != null) {
                encoding.tokenIds.fill(tokenizer.sepId, first.size + 1, framed)
                encoding.copy(second, framed, tokenizer.sepId)
                encoding.segmentIds.fill(tokenizer.secondSegment, framed, size)
            }
            return encoding
        }
    }

    private fun copy(tokens: TokenList, at: Int, sepId: Int) {
        tokens.ids.copyInto(tokenIds, at, 0, tokens.size)
        tokens.starts.copyInto(starts, at, 0, tokens.size)
        tokens.ends.copyInto(ends, at, 0, tokens.size)
        tokenIds[at + tokens.size] = sepId
    }
}
