package org.edgebert

import java.io.File
import java.nio.ByteBuffer

/**
 * A `.tflite` that `edgebert export` wrote: its manifest, vocabulary and labels.
 *
 * The file is mapped, so its weights are never on the heap.
 */
public class ModelFile private constructor(
    /** The file's name, for messages. */
    public val name: String,
    /** Where it is; null of one that was handed over as a buffer. */
    public val path: File?,
    private val bytes: ByteBuffer,
) {
    /** The whole file, read-only, from its first byte to its last. */
    public val buffer: ByteBuffer get() = bytes.asReadOnlyBuffer()

    /** The file's size. */
    public val sizeBytes: Int get() = bytes.limit()

    /** The manifest `EDGEBERT_MANIFEST`, which is JSON. */
    public val manifest: String get() = TODO()

    /** The task, such as `classification`; docs/tasks.md names all. */
    public val task: String get() = TODO()

    /** The labels of the task; empty where it has none. */
    public val labels: List<String> get() = TODO()

    /** The token counts that the file has signatures for, ascending; empty where it takes any. */
    public val lengths: List<Int> get() = TODO()

    /** The most tokens of one call. */
    public val maxLength: Int get() = TODO()

    /** What the file gives, such as `probabilities` or `logits`. */
    public val output: String get() = TODO()

    /** How the weights are stored, such as `dynamic-int8`. */
    public val recipe: String get() = TODO()

    /** Turns text into the model's tokens. */
    public val tokenizer: Tokenizer get() = TODO()

    /** The SHA-256 of the whole file in hex. It reads the file, about 5 ms a megabyte. */
    public fun sha256(): String = TODO()

    public companion object {
        /**
         * Opens a file.
         *
         * @throws ModelException it can't be read, is damaged, has no manifest, or a newer one.
         */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(path: File): ModelFile = TODO()

        /**
         * Opens a file that is mapped already, such as an asset of an app.
         *
         * @param buffer the file from its position to its limit; it must be mapped or direct for the
         *   runtime.
         * @param name of the file, for messages.
         * @throws ModelException as [open].
         */
        @JvmStatic
        @Throws(ModelException::class)
        public fun of(buffer: ByteBuffer, name: String): ModelFile = TODO()
    }
}
