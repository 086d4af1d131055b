package org.edgebert.demo

import java.io.File
import org.edgebert.DesktopEngine
import org.edgebert.EngineFactory
import org.edgebert.ModelFile
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** Forged, damaged and hopeless requests: each gets its words, or nothing where it has no name. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class BenchmarkRunnerTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val device = object : BenchmarkDevice {
        override val appVersion = "0"
        override val runtime = "LiteRT" to "desktop"

        override fun refusal(): String? = null

        override fun thermalStatus(): String = "none"

        override fun engines(threads: Int, delegate: String): Pair<EngineFactory, String> =
            DesktopEngine.factory(threads = threads) to "cpu"
    }

    private fun request(task: String, input: String): JSONObject {
        val model = modelOf(task)
        return JSONObject("""{"format": "edgebert-app-request", "version": 2, "id": "abc"}""")
            .put("model", model.path).put("sha256", ModelFile.open(model).sha256())
            .put("threads", 1).put("delegate", "cpu").put("time", JSONObject.NULL)
            .put("check", JSONObject("""{"a": [$input]}""").getJSONArray("a"))
    }

    private fun failure(request: String): String {
        assertFalse(BenchmarkRunner(device, folder.root).run(request))
        val result = JSONObject(File(folder.root, "abc.json").readText())
        assertEquals("failed", result.getString("state"))
        return result.getString("error")
    }

    private fun assertFails(words: String, request: JSONObject) {
        val said = failure(request.toString())
        assertTrue(said, words in said)
    }

    @Test
    fun `what does not keep to the contract is told`() {
        val input = """{"texts": ["a film"]}"""
        fun whole() = request("classification", input)
        assertFails("version 1", whole().put("version", 1))
        assertFails("absolute path", whole().put("model", "model.tflite"))
        assertFails("threads from 1 to 64", whole().put("threads", 0))
        assertFails("delegate of cpu, gpu, nnapi", whole().put("delegate", "npu"))
        assertFails("Received: neither", whole().put("check", JSONObject.NULL))
        assertFails("SHA-256", whole().put("sha256", "0".repeat(64)))
        assertFails("can't be read", whole().put("model", "/nowhere/model.tflite"))
        assertFails("texts, words or token_ids", request("classification", "{}"))
        assertFails("expected", whole().apply { remove("sha256") }.put("x", 1), ignoreCase = true)
    }

    private fun assertFails(words: String, request: JSONObject, ignoreCase: Boolean) {
        val said = failure(request.toString())
        assertTrue(said, said.contains(words, ignoreCase))
    }

    @Test
    fun `inputs that the task can't take are told`() {
        failure(request("pairs", """{"texts": ["one"]}""").toString())
        failure(request("qa", """{"texts": ["one"]}""").toString())
        val tooLong = (1..41).joinToString(",") { "5" }
        assertFails(
            "at most 40 tokens",
            request("masked-lm", """{"token_ids": [[$tooLong]], "segment_ids": [[$tooLong]]}"""),
        )
    }

    @Test
    fun `a request without a name for its result leaves no file`() {
        for (text in listOf("", "no json", "[]", "{}", """{"id": "../../evil"}""", """{"id": ""}""")) {
            assertFalse(BenchmarkRunner(device, folder.root).run(text))
        }
        assertEquals(0, folder.root.list().orEmpty().size)
    }
}
