package org.edgebert

import java.io.File
import java.io.PrintStream

/**
 * Answers texts as `edgebert predict --json` does; places count UTF-16 code units.
 *
 * Arguments: `libLiteRt.so` and a model. Standard input has a text a line in UTF-8, or two of a pair
 * with a tab between them; `\n`, `\t`, `\r` and `\\` stand for these characters. Standard output has
 * a JSON object a line.
 */
public fun main(arguments: Array<String>) {
    require(arguments.size == 2) { "Expected: libLiteRt.so model.tflite. Received: ${arguments.toList()}." }
    val out = PrintStream(System.out, false, "UTF-8")
    val file = ModelFile.open(File(arguments[1]))
    TextModel.open(file, DesktopEngine.factory(File(arguments[0]))).use { model ->
        System.`in`.bufferedReader().forEachLine { line ->
            val texts = line.split('\t').map(::unescaped)
            out.println(JsonWriter.write(answered(model, texts[0], texts.getOrNull(1))))
        }
    }
    out.flush()
}

private fun unescaped(text: String): String = Regex("""\\(.)""").replace(text) {
    when (val letter = it.groupValues[1]) {
        "n" -> "\n"
        "t" -> "\t"
        "r" -> "\r"
        else -> letter
    }
}

private fun answered(model: TextModel, text: String, other: String?): Map<String, Any?> {
    val pair = if (other == null) emptyMap() else mapOf("pair" to other)
    return mapOf("text" to text) + when (model) {
        is TextClassifier -> pair + classified(model, model.classify(text, other))
        is TextScorer -> pair + mapOf("score" to model.score(text, other))
        is TokenTagger -> tagged(model, model.tag(text))
        is QuestionAnswerer -> mapOf("answers" to model.answer(text, other.orEmpty()).map(::fields))
        is TextEmbedder -> if (other == null) {
            mapOf("embedding" to model.embed(text).map { it.toDouble() })
        } else {
            pair + mapOf("cosine" to model.similarity(text, other))
        }
        is MaskFiller -> filled(model.fill(text))
    }
}

private fun classified(model: TextClassifier, answer: Classification): Map<String, Any?> {
    val probabilities = mapOf("probabilities" to answer.probabilities.associate { it.label to it.score })
    if (model.isMultiLabel) return mapOf("labels" to answer.labels.map { it.label }) + probabilities
    return mapOf("label" to answer.label, "probability" to answer.score) + probabilities
}

private fun tagged(model: TokenTagger, answer: Tagging): Map<String, Any?> {
    val words = answer.words.map {
        mapOf("text" to it.text, "tag" to it.tag, "start" to it.start, "end" to it.end, "score" to it.score)
    }
    val entities = answer.entities.map {
        mapOf("text" to it.text, "type" to it.type, "start" to it.start, "end" to it.end, "score" to it.score)
    }
    return mapOf("words" to words) + if (model.findsEntities) mapOf("entities" to entities) else emptyMap()
}

private fun fields(answer: Answer): Map<String, Any?> =
    mapOf("text" to answer.text, "start" to answer.start, "end" to answer.end, "score" to answer.score)

private fun filled(answer: FilledText): Map<String, Any?> = mapOf(
    "filled" to answer.filled,
    "masks" to answer.masks.map { mask ->
        val tokens = mask.tokens.map { mapOf("token" to it.token, "probability" to it.probability) }
        mapOf("start" to mask.start, "end" to mask.end, "tokens" to tokens)
    },
)

/** Writes JSON. */
private object JsonWriter {
    fun write(value: Any?): String = when (value) {
        is Map<*, *> -> value.entries.joinToString(", ", "{", "}") { "${write(it.key)}: ${write(it.value)}" }
        is List<*> -> value.joinToString(", ", "[", "]", transform = ::write)
        is String -> value.map(::escaped).joinToString("", "\"", "\"")
        else -> value.toString()
    }

    private fun escaped(character: Char): String = when (character) {
        '"', '\\' -> "\\$character"
        in ' '..'~' -> character.toString()
        else -> "\\u%04x".format(character.code)
    }
}
