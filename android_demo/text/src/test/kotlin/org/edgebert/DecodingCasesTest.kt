package org.edgebert

import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.TestFactory

/** What comes of given outputs of a model is what `edgebert.tasks` answers in Python. */
class DecodingCasesTest {
    private val content = Golden.read("decoding_cases.json")
    private val vocabularies = content["vocabularies"] as Map<*, *>
    private val models = content["models"] as Map<*, *>

    @TestFactory
    fun `answers of all tasks`(): List<DynamicTest> {
        val cases = Golden.objects(content["cases"])
        assertEquals(9, cases.map { (models[it["model"]] as Map<*, *>)["task"] }.distinct().size)
        return cases.map { case ->
            DynamicTest.dynamicTest("${case["model"]}: ${case["name"]}") { check(case) }
        }
    }

    @TestFactory
    fun searches(): List<DynamicTest> = Golden.objects(content["searches"]).map { search ->
        DynamicTest.dynamicTest(search["name"] as String) {
            val windows = Golden.objects(search["line_windows"]) + search["query_window"] as Map<*, *>
            model(search["model"], windows).use { model ->
                val lines = (search["lines"] as List<*>).map { it as String }
                val index = (model as TextEmbedder).index(lines)
                val hits = index.search(model.embed(search["query"] as String), (search["top"] as Long).toInt())
                val found = hits.map { mapOf("row" to it.row + 1L, "cosine" to it.cosine, "text" to it.text) }
                assertSame(search["hits"], found, "hits")
            }
        }
    }

    private fun check(case: Map<*, *>) {
        val windows = Golden.objects(case["windows"])
        val (text, other) = (case["texts"] as List<*>).map { it as String }.let { it[0] to it.getOrNull(1) }
        val answer = case["answer"] as Map<*, *>
        var calls = 0
        val model = model(case["model"], windows) { calls++ }
        model.use { assertSame(answer, answered(it, text, other), "answer") }
        assertEquals(windows.size, calls)
    }

    /** What a model answers, laid out as Python has it. */
    private fun answered(model: TextModel, text: String, other: String?): Map<*, *> = when (model) {
        is TextClassifier -> asked(text, other) + classified(model, model.classify(text, other))
        is TextScorer -> asked(text, other) + ("score" to model.score(text, other))
        is TokenTagger -> asked(text, null) + tagged(text, model)
        is QuestionAnswerer -> asked(text, null) + ("answers" to answersOf(model, text, other!!))
        is TextEmbedder -> asked(text, other) + if (other == null) {
            "embedding" to model.embed(text).map { it.toDouble() }
        } else {
            "cosine" to model.similarity(text, other)
        }
        is MaskFiller -> asked(text, null) + filled(text, model)
    }

    private fun asked(text: String, other: String?): Map<String, Any?> =
        mapOf("text" to text) + if (other == null) emptyMap() else mapOf("pair" to other)

    private fun classified(model: TextClassifier, answer: Classification): Map<String, Any?> {
        val probabilities = mapOf("probabilities" to answer.probabilities.associate { it.label to it.score })
        assertEquals(answer.probabilities.maxOf { it.score }, answer.score)
        if (model.isMultiLabel) return probabilities + ("labels" to answer.labels.map { it.label })
        assertEquals(listOf(LabelScore(answer.label, answer.score)), answer.labels)
        return probabilities + mapOf("label" to answer.label, "probability" to answer.score)
    }

    private fun tagged(text: String, model: TokenTagger): Map<String, Any?> {
        val (words, entities) = model.tag(text)
        val said = words.map { placed(text, it.text, it.start, it.end, it.score) + ("tag" to it.tag) }
        val found = entities.map { placed(text, it.text, it.start, it.end, it.score) + ("type" to it.type) }
        return mapOf("words" to said) + if (model.findsEntities) mapOf("entities" to found) else emptyMap()
    }

    private fun answersOf(model: QuestionAnswerer, question: String, context: String) =
        model.answer(question, context).map {
            assertEquals(it.text.isEmpty(), it.isNone)
            placed(context, it.text, it.start, it.end, it.score)
        }

    private fun filled(text: String, model: MaskFiller): Map<String, Any?> {
        val (filled, masks) = model.fill(text)
        val said = masks.map { mask ->
            mapOf(
                "start" to codePoints(text, mask.start),
                "end" to codePoints(text, mask.end),
                "tokens" to mask.tokens.map { mapOf("token" to it.token, "probability" to it.probability) },
            )
        }
        return mapOf("filled" to filled, "masks" to said)
    }

    private fun placed(text: String, part: String, start: Int, end: Int, score: Double): Map<String, Any?> {
        assertEquals(text.substring(start, end), part)
        return mapOf(
            "text" to part,
            "start" to codePoints(text, start),
            "end" to codePoints(text, end),
            "score" to score,
        )
    }

    private fun codePoints(text: String, unit: Int): Long = text.codePointCount(0, unit).toLong()

    /** A model over an engine that expects windows, one after the other, and gives their outputs. */
    private fun model(name: Any?, windows: List<Map<*, *>>, called: () -> Unit = {}): TextModel {
        val facts = (models[name] as Map<*, *>).entries.associate { it.key as String to it.value }
        val vocabulary = vocabularies[facts["vocabulary"]] as Map<*, *>
        val tokens = (vocabulary["tokens"] as List<*>).joinToString("") { "$it\n" }
        val manifest = facts + mapOf(
            "tokenizer" to vocabulary["settings"],
            "vocabulary_sha256" to ModelBytes.sha256(tokens),
        )
        val bytes = ModelBytes.file(manifest, tokens, Golden.files(vocabulary))
        val file = ModelFile.of(ByteBuffer.wrap(bytes), "cases.tflite")
        val left = windows.iterator()
        return TextModel.open(file) {
            FakeEngine { signature, inputs ->
                called()
                outputs(file, signature, inputs, left.next())
            }
        }
    }

    private fun outputs(
        file: ModelFile,
        signature: String,
        inputs: TokenInputs,
        window: Map<*, *>,
    ): Map<String, FloatArray> {
        val length = file.lengths.single()
        val used = Golden.ints(window["token_ids"]).size
        val padding = List(length - used) { 0 }
        assertEquals("tokens_$length", signature)
        assertEquals(Golden.ints(window["token_ids"]) + padding.map { file.tokenizer.padId }, inputs.tokenIds.toList())
        assertEquals(Golden.ints(window["segment_ids"]) + padding, inputs.segmentIds.toList())
        assertEquals(List(used) { 1 } + padding, inputs.paddingMask.toList())
        assertEquals(used, inputs.tokenCount)
        val output = window["output"] as List<*>
        if (file.task != "qa") return mapOf(file.output to flat(output) + junk(padding.size * file.labels.size))
        val columns = (0..1).map { column -> flat(output.map { (it as List<*>)[column] }) + junk(padding.size) }
        return mapOf("start_logits" to columns[0], "end_logits" to columns[1])
    }

    private fun junk(size: Int) = FloatArray(size) { 7f }

    private fun flat(values: List<*>): FloatArray =
        values.flatMap { if (it is List<*>) flat(it).toList() else listOf((it as Number).toFloat()) }.toFloatArray()

    /** Numbers within 1e-6, all else the same, whatever the order of keys. */
    private fun assertSame(expected: Any?, received: Any?, path: String) {
        when (expected) {
            is Map<*, *> -> {
                assertEquals(expected.keys, (received as Map<*, *>).keys, path)
                for (key in expected.keys) assertSame(expected[key], received[key], "$path.$key")
            }
            is List<*> -> {
                assertEquals(expected.size, (received as List<*>).size, path)
                expected.indices.forEach { assertSame(expected[it], received[it], "$path[$it]") }
            }
            is Number -> {
                val difference = Math.abs(expected.toDouble() - (received as Number).toDouble())
                assertTrue(difference <= 1e-6) { "$path: expected $expected, received $received" }
            }
            else -> assertEquals(expected, received, path)
        }
    }
}
