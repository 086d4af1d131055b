package org.edgebert

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.security.MessageDigest

/**
 * A `.tflite` that `edgebert export` wrote: its manifest, vocabulary and labels (docs/file-format.md).
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
    private val content = read()

    /** The whole file, read-only, from its first byte to its last. */
    public val buffer: ByteBuffer get() = bytes.duplicate()

    /** The file's size. */
    public val sizeBytes: Int get() = bytes.limit()

    /** The manifest, which is JSON: where the model comes from and how it compares with the original. */
    public val manifest: String get() = content.text

    /** The task, such as `classification`; docs/tasks.md names all. */
    public val task: String get() = content.task

    /** The labels of the task; empty where it has none. */
    public val labels: List<String> get() = content.labels

    /** The token counts that the file has signatures for, ascending; empty where it takes any. */
    public val lengths: List<Int> get() = content.lengths

    /** The most tokens of one call. */
    public val maxLength: Int get() = content.maxLength

    /** What the file gives, such as `probabilities` or `logits`. */
    public val output: String get() = content.output

    /** How the weights are stored, such as `dynamic-int8`. */
    public val recipe: String get() = content.recipe

    /** Turns text into the model's tokens. */
    public val tokenizer: Tokenizer = readTokenizer()

    internal val decoding: Fields get() = content.decoding

    /** The SHA-256 of the whole file in hex. It reads all of the file. */
    public fun sha256(): String {
        val digest = MessageDigest.getInstance("SHA-256")
        digest.update(buffer)
        return hex(digest)
    }

    private fun read(): Manifest = explained {
        val found = FlatbufferReader(bytes).metadata(Manifest.BUFFER) ?: throw ModelException(
            "it has no edgebert manifest, so its vocabulary and labels are unknown. Next: export the model " +
                "with `edgebert export`",
        )
        Manifest.read(found)
    }

    private fun readTokenizer(): Tokenizer = explained {
        val file = ArchiveReader(bytes).read(VOCABULARY) ?: throw ModelException(
            "it has no $VOCABULARY inside: its end was cut off. Next: copy or export the file again",
        )
        val digest = MessageDigest.getInstance("SHA-256")
        digest.update(file)
        if (file.isEmpty() || file.last() != '\n'.code.toByte()) digest.update('\n'.code.toByte())
        val received = hex(digest)
        if (received != content.vocabularySha256) {
            throw ModelException(
                "its $VOCABULARY is not the one that was exported (SHA-256 ${received.take(SHOWN)}, expected " +
                    "${content.vocabularySha256.take(SHOWN)}). Next: export the model again",
            )
        }
        val vocabulary = Vocabulary.read(file) ?: throw ModelException("its $VOCABULARY is not UTF-8")
        Tokenizer(vocabulary, content.tokenizer, content.numSegments > 1, readPieces())
    }

    private fun readPieces(): UnigramPieces? {
        if (!content.tokenizer.isUnigram) return null
        val archive = ArchiveReader(bytes)
        val scores = archive.read(SCORES) ?: throw ModelException("it has no $SCORES inside")
        return UnigramPieces.read(scores, archive.read(CHARACTER_MAP))
    }

    /** Puts the file's name before what is wrong with it. */
    private inline fun <T> explained(read: () -> T): T = try {
        read()
    } catch (error: ModelException) {
        val message = error.message.orEmpty()
        val next = if ("Next:" in message) "" else ". Next: copy or export the file again"
        throw ModelException("$name can't be used: $message$next.", error)
    }

    public companion object {
        private const val VOCABULARY = "vocab.txt"
        private const val SCORES = "piece_scores.bin"
        private const val CHARACTER_MAP = "charsmap.bin"
        private const val SHOWN = 12

        /**
         * Opens a file.
         *
         * @throws ModelException it can't be read, is damaged, has no manifest, or a newer one.
         */
        @JvmStatic
        @Throws(ModelException::class)
        public fun open(path: File): ModelFile {
            val mapped = try {
                RandomAccessFile(path, "r").use { it.channel.map(FileChannel.MapMode.READ_ONLY, 0, it.length()) }
            } catch (error: IOException) {
                throw ModelException("$path can't be read: ${error.message}.", error)
            } catch (error: IllegalArgumentException) {
                throw ModelException("$path can't be read: it is larger than 2 GB.", error)
            }
            return ModelFile(path.name, path, mapped.asReadOnlyBuffer())
        }

        /**
         * Opens a file that is in memory already, such as an asset of an app that was mapped.
         *
         * @param buffer the file, from its position to its limit.
         * @param name of the file, for messages.
         * @throws ModelException as [open].
         */
        @JvmStatic
        @Throws(ModelException::class)
        public fun of(buffer: ByteBuffer, name: String): ModelFile =
            ModelFile(name, null, buffer.slice().asReadOnlyBuffer())

        private fun hex(digest: MessageDigest): String {
            val digits = "0123456789abcdef"
            val found = StringBuilder()
            for (byte in digest.digest()) {
                found.append(digits[byte.toInt() shr 4 and 15]).append(digits[byte.toInt() and 15])
            }
            return found.toString()
        }
    }
}
