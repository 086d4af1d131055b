package org.edgebert.demo

import java.io.File
import java.io.IOException
import org.edgebert.EngineFactory
import org.edgebert.ModelFile
import org.json.JSONArray
import org.json.JSONException
import org.json.JSONObject

/** What the runner needs of the device. */
internal interface BenchmarkDevice {
    /** The app's version. */
    val appVersion: String

    /** Name and version of the runtime. */
    val runtime: Pair<String, String>

    /** Why no figure would be worth anything now, such as a dark screen; null where all is well. */
    fun refusal(): String?

    /** How hot the device is, in Android's words; null where it does not say. */
    fun thermalStatus(): String?

    /** Engines on a delegate, and the delegate that they really use. */
    fun engines(threads: Int, delegate: String): Pair<EngineFactory, String>
}

/**
 * Carries out one request of `edgebert profile --target adb --app`, whose contract is told in
 * edgebert/profiling/adb/app.py. It knows nothing of Android.
 *
 * @param results the folder of the results, `ID.json` each.
 */
internal class BenchmarkRunner(private val device: BenchmarkDevice, private val results: File) {
    private val began = System.nanoTime()
    private var told = began

    /**
     * Answers a request by files: one at once, about one a second while it works, and a last one.
     *
     * @param request the text of the request.
     * @return whether it was carried out.
     */
    fun run(request: String): Boolean {
        val id = BenchmarkRequest.idOf(request) ?: return false
        val progress = Progress(id)
        return try {
            progress.tell()
            val parsed = BenchmarkRequest.parse(request)
            device.refusal()?.let { throw BadRequest(it) }
            carryOut(parsed, progress)
            true
        } catch (error: BadRequest) {
            progress.fail(error.message.orEmpty())
        } catch (error: IOException) {
            progress.fail(error.message ?: error.toString())
        } catch (error: JSONException) {
            progress.fail("An output is no number: ${error.message}.")
        } catch (error: RuntimeException) {
            progress.fail(error.message ?: error.toString())
        } catch (error: OutOfMemoryError) {
            progress.fail("The phone has too little memory for this model: ${error.message}.")
        }
    }

    /** Answers a request that came while another one runs. */
    fun refuse(request: String, why: String) {
        BenchmarkRequest.idOf(request)?.let { Progress(it).fail(why) }
    }

    private fun carryOut(request: BenchmarkRequest, progress: Progress) {
        val time = request.time
        progress.total = (time?.run { warmupCalls + blocks * blockCalls } ?: 0) +
            (request.check?.size ?: 0)
        val sha256 = ModelFile.open(request.model).sha256()
        if (sha256 != request.sha256) {
            throw BadRequest(
                "Expected the model with SHA-256 ${request.sha256}. Received: $sha256. " +
                    "Next: send it again.",
            )
        }
        val heat = JSONArray().put(device.thermalStatus() ?: JSONObject.NULL)
        val (engines, delegate) = device.engines(request.threads, request.delegate)
        val start = System.nanoTime()
        BenchmarkModel(ModelFile.open(request.model), engines).use { model ->
            val loadMs = since(start)
            val first = time?.inputs?.first() ?: request.check.orEmpty().firstOrNull()
            val firstCallMs = first?.let { timed(model, it) }
            val blocks = time?.let { blocks(model, it, progress) } ?: emptyList()
            val rows = request.check?.map { input ->
                model.checkedRow(input).also { progress.step() }
            }
            heat.put(device.thermalStatus() ?: JSONObject.NULL)
            progress.finish(
                JSONObject()
                    .put("app_version", device.appVersion)
                    .put("runtime", runtimeJson())
                    .put("delegate", delegate)
                    .put("sha256", sha256)
                    .put("load_ms", loadMs)
                    .put("first_call_ms", firstCallMs ?: loadMs)
                    .put("peak_memory_bytes", peakMemoryBytes() ?: JSONObject.NULL)
                    .put("thermal_status", heat)
                    .put("blocks_ms", JSONArray(blocks.map { JSONArray(it) }))
                    .put("check", rows?.let { JSONArray(it) } ?: JSONObject.NULL),
            )
        }
    }

    private fun blocks(
        model: BenchmarkModel,
        time: TimeRequest,
        progress: Progress,
    ): List<List<Double>> {
        val inputs = time.inputs
        for (call in 0 until time.warmupCalls) {
            timed(model, inputs[call % inputs.size])
            progress.step()
        }
        val start = System.nanoTime()
        val blocks = ArrayList<List<Double>>()
        while (blocks.isEmpty() || (blocks.size < time.blocks && since(start) < 1e3 * time.seconds)) {
            blocks += List(time.blockCalls) { timed(model, inputs[it % inputs.size]) }
            progress.step(time.blockCalls)
        }
        return blocks
    }

    private fun timed(model: BenchmarkModel, input: BenchmarkInput): Double {
        val start = System.nanoTime()
        model.answer(input)
        return since(start)
    }

    private fun since(start: Long): Double = (System.nanoTime() - start) / NANOS_PER_MS

    private fun runtimeJson(): JSONObject =
        JSONObject().put("name", device.runtime.first).put("version", device.runtime.second)

    /** The most that the process ever held; Linux and Android say it the same way. */
    private fun peakMemoryBytes(): Long? = try {
        File("/proc/self/status").useLines { lines ->
            lines.firstOrNull { it.startsWith("VmHWM:") }
                ?.filter(Char::isDigit)?.toLong()?.times(KILOBYTE)
        }
    } catch (error: IOException) {
        null
    }

    /** The result of one request, which is always there whole: written beside, then renamed. */
    private inner class Progress(private val id: String) {
        var total = 0
        private var done = 0

        fun step(calls: Int = 1) {
            done += calls
            if (System.nanoTime() - told > TELL_EVERY_NANOS) tell()
        }

        fun tell() {
            told = System.nanoTime()
            write("running", "")
        }

        fun fail(why: String): Boolean {
            write("failed", why)
            return false
        }

        fun finish(found: JSONObject) {
            done = total
            write("done", "", found)
        }

        private fun write(state: String, error: String, found: JSONObject = JSONObject()) {
            found.put("format", FORMAT).put("version", BenchmarkRequest.VERSION).put("id", id)
                .put("state", state).put("done", done).put("total", total).put("error", error)
            results.mkdirs()
            val part = File(results, "$id.part")
            part.writeText(found.toString())
            if (!part.renameTo(File(results, "$id.json"))) {
                throw IOException("$results: the result can't be renamed.")
            }
        }
    }

    private companion object {
        const val FORMAT = "edgebert-app-result"
        const val NANOS_PER_MS = 1e6
        const val TELL_EVERY_NANOS = 1_000_000_000L
        const val KILOBYTE = 1024L
    }
}
