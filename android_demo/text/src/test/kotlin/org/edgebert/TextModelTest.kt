package org.edgebert

import java.nio.ByteBuffer
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** What holds for models of every task: threads, closing, lengths, hard texts. */
class TextModelTest {
    private val vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nplay\n##ing\nmusic\n"

    private fun file(task: String, more: Map<String, Any?> = emptyMap()): ModelFile {
        val manifest = ModelBytes.manifest(vocabulary, task, OUTPUTS.getValue(task) + more)
        return ModelFile.of(ByteBuffer.wrap(ModelBytes.file(manifest, vocabulary)), "$task.tflite")
    }

    private fun engine(file: ModelFile, seen: (String, TokenInputs) -> Unit = { _, _ -> }) =
        FakeEngine { signature, inputs ->
            seen(signature, inputs)
            val sizes = when (file.task) {
                "ner", "pos" -> mapOf(file.output to inputs.length * file.labels.size)
                "qa" -> mapOf("start_logits" to inputs.length, "end_logits" to inputs.length)
                "masked-lm" -> mapOf("logits" to 2 * 8)
                "regression" -> mapOf("score" to 1)
                "embeddings" -> mapOf("embedding" to 3)
                else -> mapOf(file.output to file.labels.size)
            }
            sizes.mapValues { FloatArray(it.value) { index -> (index + 1f) / it.value } }
        }

    private fun answer(model: TextModel, text: String): Any = when (model) {
        is TextClassifier -> model.classify(text, text.takeIf { model.needsPair })
        is TextScorer -> model.score(text)
        is TokenTagger -> model.tag(text)
        is QuestionAnswerer -> model.answer(text, text)
        is TextEmbedder -> model.embed(text)
        is MaskFiller -> model.fill("$text [MASK]")
    }

    @Test
    fun `every task takes every text`() {
        val hard = listOf(
            "", "   \n\t", "\u0000\u200B", "\uD800", "a\uDC00\uD83D\uDE00\uD83D", "play ".repeat(200_000),
            "x".repeat(1_000_000), "\u0301".repeat(100_000), "a\u0301\u0323".repeat(10_000), "[MASK]".repeat(1000),
            "\u4E2D".repeat(100_000),
        )
        for (task in OUTPUTS.keys) {
            val file = file(task)
            TextModel.open(file) { engine(file) }.use { model -> hard.forEach { answer(model, it) } }
        }
    }

    @Test
    fun `the shortest signature that fits is run`() {
        val file = file("classification")
        val seen = ArrayList<String>()
        TextClassifier.open(file) { engine(file) { signature, _ -> seen.add(signature) } }.use { model ->
            for (words in listOf(0, 6, 7, 14, 100)) model.classify("play ".repeat(words))
        }
        assertEquals(listOf("tokens_8", "tokens_8", "tokens_16", "tokens_16", "tokens_16"), seen)
    }

    @Test
    fun `a file of any length is run with as many tokens as there are`() {
        val file = file("classification", mapOf("lengths" to emptyList<Int>()))
        val seen = ArrayList<Pair<String, Int>>()
        TextClassifier.open(file) { engine(file) { signature, inputs -> seen.add(signature to inputs.length) } }.use {
            it.classify("play")
            it.classify("play ".repeat(100))
        }
        assertEquals(listOf("tokens_dynamic" to 3, "tokens_dynamic" to 16), seen)
    }

    @Test
    fun `a call after close says so`() {
        for (task in OUTPUTS.keys) {
            val file = file(task)
            val engine = engine(file)
            val model = TextModel.open(file) { engine }
            model.close()
            model.close()
            assertEquals(1, engine.closed)
            val error = assertThrows(IllegalStateException::class.java) { answer(model, "play") }
            assertTrue("$task.tflite was closed" in error.message!!)
        }
    }

    @Test
    fun `close waits for a call that runs`() {
        val file = file("classification")
        val started = CountDownLatch(1)
        val goOn = CountDownLatch(1)
        val engine = engine(file) { _, _ ->
            started.countDown()
            goOn.await(10, TimeUnit.SECONDS)
        }
        val model = TextClassifier.open(file) { engine }
        var answer: Classification? = null
        val caller = thread { answer = model.classify("play") }
        started.await(10, TimeUnit.SECONDS)
        val closer = thread { model.close() }
        closer.join(100)
        assertTrue(closer.isAlive)
        assertEquals(0, engine.closed)
        goOn.countDown()
        closer.join(10_000)
        caller.join(10_000)
        assertEquals(1, engine.closed)
        assertEquals("good", answer!!.label)
    }

    @Test
    fun `threads take turns`() {
        val file = file("embeddings")
        val inside = AtomicInteger()
        val most = AtomicInteger()
        val engine = FakeEngine { _, inputs ->
            most.accumulateAndGet(inside.incrementAndGet(), ::maxOf)
            Thread.yield()
            val ids = FloatArray(3) { inputs.tokenIds[it + 1].toFloat() }
            inside.decrementAndGet()
            mapOf("embedding" to ids)
        }
        val model = TextEmbedder.open(file) { engine }
        val wrong = AtomicInteger()
        val threads = listOf("play music play" to 5f, "music play music" to 7f).map { (text, first) ->
            thread { repeat(500) { if (model.embed(text)[0] != first) wrong.incrementAndGet() } }
        }
        threads.forEach { it.join(30_000) }
        assertEquals(1, most.get())
        assertEquals(0, wrong.get())
    }

    @Test
    fun `the prompt is put before the text`() {
        val prompts = mapOf("prompt" to "music ", "prompts" to mapOf("query" to "music "))
        val file = file("embeddings", mapOf("decoding" to prompts))
        val engine = FakeEngine { _, inputs ->
            mapOf("embedding" to FloatArray(3) { inputs.tokenIds[it + 1].toFloat() })
        }
        TextEmbedder.open(file) { engine }.use { model ->
            assertEquals(listOf(7f, 5f), model.embed("play").take(2))
        }
    }

    @Test
    fun `an error of the runtime leaves the model usable`() {
        val file = file("classification")
        var fails = true
        val model = TextClassifier.open(file) {
            engine(file) { _, _ -> if (fails) throw EngineException("no memory") }
        }
        assertThrows(EngineException::class.java) { model.classify("play") }
        fails = false
        assertEquals("good", model.classify("play").label)
    }

    @Test
    fun `a file of another task is refused before the runtime is started`() {
        val error = assertThrows(ModelException::class.java) { TextClassifier.open(file("ner")) { error("started") } }
        assertTrue("Received: one of ner" in error.message!! && "TextModel.open" in error.message!!)
        for (task in listOf("encoder", "translation")) {
            val unknown = file("classification", mapOf("task" to task))
            assertTrue(
                "Received: $task" in
                    assertThrows(ModelException::class.java) { TextModel.open(unknown) { error("started") } }.message!!,
            )
        }
        val other = file("ner", mapOf("output" to "hidden_states"))
        assertThrows(ModelException::class.java) { TextModel.open(other) { error("started") } }
    }

    @Test
    fun `settings of a task that are none are refused`() {
        val bad = mapOf(
            "qa" to mapOf("stride" to "x"),
            "multi-label" to mapOf("threshold" to listOf(1)),
            "masked-lm" to mapOf("masks" to 1.5),
            "ner" to mapOf("window_overlap" to "half"),
            "embeddings" to mapOf("prompt" to 1),
        )
        for ((task, decoding) in bad) {
            val message = assertThrows(ModelException::class.java) {
                TextModel.open(file(task, mapOf("decoding" to decoding))) { error("started") }
            }.message!!
            assertTrue("$task.tflite can't be used: manifest: decoding." in message, message)
        }
        assertThrows(ModelException::class.java) {
            TextModel.open(file("classification", mapOf("labels" to emptyList<String>()))) { error("started") }
        }
        assertThrows(ModelException::class.java) {
            TextModel.open(file("qa", mapOf("lengths" to listOf(4), "max_length" to 4))) { error("started") }
        }
    }

    @Test
    fun `a model of pairs wants two texts`() {
        val file = file("pairs")
        TextClassifier.open(file) { engine(file) }.use { model ->
            assertTrue(model.needsPair)
            assertThrows(IllegalArgumentException::class.java) { model.classify("play") }
        }
        val scorer = file("regression", mapOf("decoding" to mapOf("texts" to 2)))
        TextScorer.open(scorer) { engine(scorer) }.use { model ->
            assertThrows(IllegalArgumentException::class.java) { model.score("play") }
            model.score("play", "music")
        }
    }

    @Test
    fun `words that are split already keep their places`() {
        val file = file("ner")
        TokenTagger.open(file) { engine(file) }.use { model ->
            val words = model.tag(listOf("Playing", "", "\u200B", "music!")).words
            assertEquals(listOf("Playing", "", "\u200B", "music!"), words.map { it.text })
            assertEquals(listOf(0 to 7, 8 to 8, 9 to 10, 11 to 17), words.map { it.start to it.end })
            assertEquals(listOf(true, false, false, true), words.map { it.tag != null })
        }
    }

    @Test
    fun `an index of texts`() {
        val index = TextIndex(listOf("a", "b", "c"), listOf(floatArrayOf(1f, 0f), floatArrayOf(0f, 2f), floatArrayOf(3f, 3f)))
        assertEquals(listOf(1, 2), index.search(floatArrayOf(0f, 9f), 2).map { it.row })
        assertTrue(index.search(floatArrayOf(0f, 1f), 0).isEmpty())
        assertTrue(TextIndex(emptyList(), emptyList()).search(floatArrayOf(1f)).isEmpty())
        assertThrows(IllegalArgumentException::class.java) { index.search(floatArrayOf(1f)) }
        assertThrows(IllegalArgumentException::class.java) { TextIndex(listOf("a"), emptyList()) }
        assertThrows(IllegalArgumentException::class.java) { TextEmbedder.cosine(floatArrayOf(1f), floatArrayOf()) }
        assertEquals(0.0, TextEmbedder.cosine(floatArrayOf(0f), floatArrayOf(1f)))
    }

    @Test
    fun `there must be room for the special tokens`() {
        val tokenizer = file("classification").tokenizer
        assertEquals(2, tokenizer.encode("play", null, 2).size)
        assertThrows(IllegalArgumentException::class.java) { tokenizer.encode("play", null, 1) }
        assertThrows(IllegalArgumentException::class.java) { tokenizer.encode("play", "music", 2) }
        assertFalse(tokenizer.encode("play", "music", 3).segmentIds.all { it == 0 })
    }

    private companion object {
        val OUTPUTS = mapOf(
            "classification" to mapOf("output" to "probabilities"),
            "pairs" to mapOf("output" to "logits"),
            "multi-label" to mapOf("output" to "probabilities"),
            "regression" to mapOf("output" to "score"),
            "ner" to mapOf("output" to "probabilities", "labels" to listOf("O", "B-A", "I-A")),
            "pos" to mapOf("output" to "logits"),
            "qa" to mapOf("output" to "logits"),
            "embeddings" to mapOf("output" to "embedding"),
            "masked-lm" to mapOf("output" to "logits"),
        )
    }
}
