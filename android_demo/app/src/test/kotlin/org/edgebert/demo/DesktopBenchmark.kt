/** The benchmark of the app on this machine: tests put it behind the adb server that stands for a phone. */
package org.edgebert.demo

import java.io.File
import kotlin.system.exitProcess
import org.edgebert.DesktopEngine
import org.edgebert.EngineFactory

/** Takes the request's file, the folder of results, and what the phone's paths begin with here. */
fun main(arguments: Array<String>) {
    val (request, results, root) = arguments
    val device = object : BenchmarkDevice {
        override val appVersion = "0.1.0"
        override val runtime = "LiteRT" to "desktop"

        override fun refusal(): String? = System.getenv("EDGEBERT_PHONE_REFUSAL")

        override fun thermalStatus(): String? = null

        override fun engines(threads: Int, delegate: String): Pair<EngineFactory, String> =
            DesktopEngine.factory(threads = threads) to "cpu"
    }
    val text = File(request).readText().replace("\"model\": \"", "\"model\": \"$root")
    exitProcess(if (BenchmarkRunner(device, File(results)).run(text)) 0 else 1)
}
