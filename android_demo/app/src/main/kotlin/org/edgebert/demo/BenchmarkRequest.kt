package org.edgebert.demo

import java.io.File
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** A request does not keep to the contract. The message says what was expected. */
internal class BadRequest(message: String) : Exception(message)

/**
 * What a model is asked once: texts as somebody types them, words that are split already, or token
 * ids where no text stands for them (a masked language model is judged on pieces of words).
 */
internal class BenchmarkInput(
    val texts: List<String>,
    val words: List<String>,
    val tokenIds: List<IntArray>,
    val segmentIds: List<IntArray>,
)

/** How calls are timed: see the contract in edgebert/profiling/adb/app.py. */
internal class TimeRequest(
    val inputs: List<BenchmarkInput>,
    val warmupCalls: Int,
    val blocks: Int,
    val blockCalls: Int,
    val seconds: Double,
)

/** A request of version 2 of the contract. */
internal class BenchmarkRequest private constructor(
    val id: String,
    val model: File,
    val sha256: String,
    val threads: Int,
    val delegate: String,
    val time: TimeRequest?,
    val check: List<BenchmarkInput>?,
) {
    companion object {
        const val FORMAT: String = "edgebert-app-request"
        const val VERSION: Int = 2
        private const val LONGEST_ID = 64
        private const val MOST_THREADS = 64
        private const val MOST_CALLS = 1_000_000
        private val DELEGATES = listOf("cpu", "gpu", "nnapi")

        /**
         * The id of a request, which names its result; null where it has none that can be a file's
         * name. It is read first, so that whatever else is wrong can be answered.
         */
        fun idOf(text: String): String? = try {
            JSONObject(text).optString("id").takeIf { id ->
                id.length in 1..LONGEST_ID && id.all { it in '0'..'9' || it in 'a'..'z' }
            }
        } catch (error: JSONException) {
            null
        }

        /**
         * Reads a request.
         *
         * @throws BadRequest it does not keep to the contract.
         */
        fun parse(text: String): BenchmarkRequest = try {
            read(JSONObject(text))
        } catch (error: JSONException) {
            throw BadRequest("Expected a request in JSON. Received: ${error.message}.")
        }

        private fun read(json: JSONObject): BenchmarkRequest {
            val format = json.optString("format")
            val version = json.optInt("version")
            expect(format == FORMAT && version == VERSION) {
                "Expected a request ($FORMAT, version $VERSION). Received: $format, version " +
                    "$version. Next: use the edgebert of the same version as the app."
            }
            val id = idOf(json.toString()) ?: throw BadRequest(
                "Expected an id of letters and digits. Received: ${json.optString("id")}.",
            )
            val model = File(json.getString("model"))
            expect(model.isAbsolute) { "Expected an absolute path of a model. Received: $model." }
            val delegate = json.getString("delegate")
            expect(delegate in DELEGATES) {
                "Expected a delegate of ${DELEGATES.joinToString()}. Received: $delegate."
            }
            val time = json.optJSONObject("time")?.let(::timeOf)
            val check = json.optJSONArray("check")?.let(::inputsOf)
            expect(time != null || check != null) { "Expected time or check. Received: neither." }
            return BenchmarkRequest(
                id, model, json.getString("sha256"), json.number("threads", 1..MOST_THREADS),
                delegate, time, check,
            )
        }

        private fun timeOf(json: JSONObject): TimeRequest {
            val inputs = inputsOf(json.getJSONArray("inputs"))
            expect(inputs.isNotEmpty()) { "Expected inputs to time. Received: none." }
            return TimeRequest(
                inputs,
                json.number("warmup_calls", 0..MOST_CALLS),
                json.number("blocks", 1..MOST_CALLS),
                json.number("block_calls", 1..MOST_CALLS),
                json.getDouble("seconds"),
            )
        }

        private fun inputsOf(array: JSONArray): List<BenchmarkInput> =
            List(array.length()) { inputOf(array.getJSONObject(it)) }

        private fun inputOf(json: JSONObject): BenchmarkInput {
            val given = listOf("texts", "words", "token_ids").filter(json::has)
            expect(given.size == 1) {
                "Expected texts, words or token_ids. Received: ${given.ifEmpty { "none" }}."
            }
            val tokenIds = json.optJSONArray("token_ids")?.let(::numbersOf).orEmpty()
            val segmentIds = json.optJSONArray("segment_ids")?.let(::numbersOf).orEmpty()
            expect(tokenIds.map { it.size } == segmentIds.map { it.size }) {
                "Expected segment_ids for token_ids. Received: others."
            }
            return BenchmarkInput(
                json.optJSONArray("texts")?.let(::stringsOf).orEmpty(),
                json.optJSONArray("words")?.let(::stringsOf).orEmpty(),
                tokenIds,
                segmentIds,
            )
        }

        private fun stringsOf(array: JSONArray): List<String> =
            List(array.length(), array::getString)

        private fun numbersOf(array: JSONArray): List<IntArray> = List(array.length()) { row ->
            val numbers = array.getJSONArray(row)
            IntArray(numbers.length(), numbers::getInt)
        }

        private fun JSONObject.number(name: String, range: IntRange): Int {
            val value = getInt(name)
            expect(value in range) {
                "Expected $name from ${range.first} to ${range.last}. Received: $value."
            }
            return value
        }

        private inline fun expect(holds: Boolean, message: () -> String) {
            if (!holds) throw BadRequest(message())
        }
    }
}
