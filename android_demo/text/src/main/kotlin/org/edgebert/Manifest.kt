package org.edgebert

/** What a reader needs of the manifest: see docs/file-format.md. Unknown keys mean nothing. */
internal class Manifest private constructor(val text: String, fields: Fields) {
    val task: String = fields.string("task")
    val labels: List<String> = fields.strings("labels")
    val output: String = fields.string("output")
    val lengths: List<Int> = fields.ints("lengths")
    val maxLength: Int = fields.int("max_length")
    val recipe: String = fields.stringOr("recipe", "")
    val numSegments: Int = fields.fields("config").int("num_segments")
    val vocabularySha256: String = fields.string("vocabulary_sha256")
    val tokenizer: TokenizerSettings = TokenizerSettings(fields.fields("tokenizer"))
    val decoding: Fields =
        if (fields.has("decoding")) fields.fields("decoding") else Fields(emptyMap<String, Any>(), "decoding.")

    init {
        val isAscending = lengths.zipWithNext().all { (shorter, longer) -> shorter < longer }
        val fits = lengths.isEmpty() || maxLength <= lengths.last()
        if (!isAscending || lengths.any { it < 2 } || maxLength < 2 || !fits) {
            throw ModelException(
                "lengths and max_length: expected ascending lengths of at least 2, max_length not over the " +
                    "last one. Received: $lengths and $maxLength",
            )
        }
    }

    companion object {
        const val BUFFER = "EDGEBERT_MANIFEST"
        /** 2 is that of Unigram vocabularies. */
        private val FORMATS = listOf(1L, 2L)

        /** @throws ModelException it is no JSON, of a newer format, or lacks what a reader needs. */
        fun read(bytes: ByteArray): Manifest {
            val text = Utf8.decode(bytes) ?: throw ModelException("the manifest is not UTF-8")
            val values = try {
                Json.read(text)
            } catch (error: JsonException) {
                throw ModelException("the manifest is no JSON: ${error.message}", error)
            }
            if (values !is Map<*, *>) throw ModelException("the manifest is no JSON object")
            if (values["format"] !in FORMATS) {
                throw ModelException(
                    "expected a manifest of format ${FORMATS.joinToString(" or ")}. Received: ${values["format"]}. Next: export the " +
                        "model again with the edgebert that this library came with, or update the library",
                )
            }
            return Manifest(text, Fields(values, "manifest: "))
        }
    }
}
