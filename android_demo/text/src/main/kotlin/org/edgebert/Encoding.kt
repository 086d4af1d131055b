package org.edgebert

/**
 * A text, or a pair of texts, as a model takes it: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, never
 * padded. The arrays are the encoding's own: do not write to them.
 *
 * @property tokenIds `[tokens]`.
 * @property segmentIds `[tokens]`: 1 for the tokens of B and the `[SEP]` after it, 0 before.
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
}
