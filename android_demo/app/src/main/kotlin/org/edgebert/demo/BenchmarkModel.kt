package org.edgebert.demo

import org.edgebert.Classification
import org.edgebert.Engine
import org.edgebert.EngineFactory
import org.edgebert.MaskFiller
import org.edgebert.ModelFile
import org.edgebert.QuestionAnswerer
import org.edgebert.TextClassifier
import org.edgebert.TextEmbedder
import org.edgebert.TextModel
import org.edgebert.TextScorer
import org.edgebert.TokenInputs
import org.edgebert.TokenTagger
import org.json.JSONArray
import org.json.JSONObject

/** A model as the benchmark asks it: an input in, the fields of the answer out. */
internal class BenchmarkModel(private val file: ModelFile, engines: EngineFactory) : AutoCloseable {
    private val recorded = RecordedCalls(engines)
    private val model: TextModel
    private var idEngine: Engine? = null

    init {
        model = TextModel.open(file, recorded)
    }

    /** Answers one input: what is timed. Token ids go to the runtime alone, and have no answer. */
    fun answer(input: BenchmarkInput): JSONObject? {
        if (input.tokenIds.isNotEmpty()) {
            runTokens(input)
            return null
        }
        return fields(input)
    }

    /** An input's calls of the runtime and its answer, as the contract wants a row of a check. */
    fun checkedRow(input: BenchmarkInput): JSONObject {
        recorded.taken()
        recorded.isOn = true
        try {
            val answer = answer(input)
            val calls = JSONArray()
            for (call in recorded.taken()) calls.put(callJson(call))
            return JSONObject().put("calls", calls).put("answer", answer ?: JSONObject.NULL)
        } finally {
            recorded.isOn = false
        }
    }

    override fun close() {
        idEngine?.close()
        model.close()
    }

    private fun runTokens(input: BenchmarkInput) {
        val engine = idEngine ?: recorded.create(file).also { idEngine = it }
        for ((ids, segments) in input.tokenIds.zip(input.segmentIds)) {
            val length = file.lengths.firstOrNull { it >= ids.size }
                ?: throw BadRequest("Expected at most ${file.maxLength} tokens. Received: ${ids.size}.")
            val inputs = TokenInputs(length)
            inputs.tokenIds.fill(file.tokenizer.padId)
            ids.copyInto(inputs.tokenIds)
            segments.copyInto(inputs.segmentIds)
            inputs.paddingMask.fill(1, 0, ids.size)
            engine.run("tokens_$length", inputs)
        }
    }

    private fun fields(input: BenchmarkInput): JSONObject {
        val texts = input.texts
        return when (model) {
            is TextClassifier -> labelFields(model, model.classify(texts[0], texts.getOrNull(1)))
            is TextScorer -> JSONObject().put("score", model.score(texts[0], texts.getOrNull(1)))
            is TokenTagger -> tagFields(model, input)
            is QuestionAnswerer ->
                JSONObject().put("text", model.answer(texts[0], texts[1]).first().text)
            is TextEmbedder -> vectorFields(model, texts)
            is MaskFiller -> JSONObject().put("filled", model.fill(texts[0]).filled)
        }
    }

    private fun labelFields(model: TextClassifier, said: Classification): JSONObject =
        if (model.isMultiLabel) {
            JSONObject().put("labels", JSONArray(said.labels.map { it.label }))
        } else {
            JSONObject().put("label", said.label).put("probability", said.score)
        }

    private fun tagFields(model: TokenTagger, input: BenchmarkInput): JSONObject {
        val said =
            if (input.words.isEmpty()) model.tag(input.texts[0]) else model.tag(input.words)
        if (!model.findsEntities) {
            return JSONObject().put("tags", JSONArray(said.words.map { it.tag ?: JSONObject.NULL }))
        }
        val entities = JSONArray()
        for (entity in said.entities) {
            entities.put(JSONObject().put("text", entity.text).put("type", entity.type))
        }
        return JSONObject().put("entities", entities)
    }

    private fun vectorFields(model: TextEmbedder, texts: List<String>): JSONObject {
        if (texts.size == 2) {
            return JSONObject().put("cosine", model.similarity(texts[0], texts[1]))
        }
        texts.forEach { model.embed(it) }
        return JSONObject()
    }

    private fun callJson(call: RecordedCall): JSONObject {
        val outputs = JSONObject()
        for ((name, values) in call.outputs) outputs.put(name, base64(usedPart(call, values)))
        return JSONObject()
            .put("token_ids", JSONArray(call.tokenIds.asList()))
            .put("segment_ids", JSONArray(call.segmentIds.asList()))
            .put("outputs", outputs)
    }

    /** Of a masked language model the rows of the masks in the text: a row is 100 kB. */
    private fun usedPart(call: RecordedCall, values: FloatArray): FloatArray {
        if (model !is MaskFiller) return values
        val masks = call.tokenIds.count { file.tokenizer.token(it) == MASK }
        return values.copyOf(minOf(values.size, masks * file.tokenizer.vocabularySize))
    }

    private companion object {
        const val MASK = "[MASK]"
    }
}
