package org.edgebert

/**
 * Runs the signatures of one model file. Implementations bind inputs and outputs by their names.
 *
 * An engine is used by one thread at a time; [TextModel] sees to that.
 */
public interface Engine : AutoCloseable {
    /**
     * Runs a signature once.
     *
     * @param signature its key, such as `tokens_32`, or `tokens_dynamic` of a file that takes any
     *   length.
     * @param inputs as many columns as the signature has; of `tokens_dynamic` any number.
     * @return the outputs by name, flattened, row by row. The arrays may be used again by the next
     *   call.
     * @throws EngineException the file has no such signature, or the runtime failed.
     */
    public fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray>

    /** Frees what the runtime holds. A second call does nothing. */
    override fun close()
}

/** Makes the engine of a model file. The model that asks for it owns it and closes it. */
public fun interface EngineFactory {
    /** @throws EngineException the runtime does not take the file. */
    public fun create(file: ModelFile): Engine
}

/**
 * The inputs of a signature for one text, or one pair of texts, padded to [length].
 *
 * @property length columns of each array.
 */
public class TokenInputs(public val length: Int) {
    /** The input `token_ids`, `[length]`. */
    public val tokenIds: IntArray = IntArray(length)

    /** The input `padding_mask`, `[length]`: 1 where there is a token, 0 where there is padding. */
    public val paddingMask: IntArray = IntArray(length)

    /** The input `segment_ids`, `[length]`: 1 for the second text of a pair. */
    public val segmentIds: IntArray = IntArray(length)

    /** How many columns have a token. */
    public var tokenCount: Int = 0
        internal set

    /** The array of an input by its name in the file; null of a name that no file of ours has. */
    public operator fun get(name: String): IntArray? = when (name) {
        "token_ids" -> tokenIds
        "padding_mask" -> paddingMask
        "segment_ids" -> segmentIds
        else -> null
    }
}
