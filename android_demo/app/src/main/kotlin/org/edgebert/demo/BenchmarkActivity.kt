package org.edgebert.demo

import android.app.Activity
import android.content.Context
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.os.PowerManager
import android.util.Log
import android.view.WindowManager
import android.widget.TextView
import java.io.File
import java.io.IOException
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.concurrent.thread
import org.edgebert.EngineException
import org.edgebert.EngineFactory
import org.edgebert.litert.LiteRt
import org.edgebert.litert.LiteRtOptions

/**
 * Answers a request of `edgebert profile --target adb --app`: see [BenchmarkRunner].
 *
 * The manifest lets nobody start it who lacks the permission DUMP, which adb's shell has and apps
 * have not. The screen stays on, and the processor awake, for as long as it works.
 */
class BenchmarkActivity : Activity() {
    private val isRunning = AtomicBoolean()

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        window.addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
        setContentView(TextView(this).apply { setText(R.string.benchmark_runs) })
        if (savedInstanceState == null) take(intent) else finish()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        take(intent)
    }

    private fun take(intent: Intent) {
        val path = intent.getStringExtra(EXTRA_REQUEST)
        if (intent.action != ACTION || path == null) {
            Log.e(TAG, "Expected the action $ACTION with a request. Received: $intent.")
            if (!isRunning.get()) finish()
            return
        }
        val request = try {
            File(path).readText()
        } catch (error: IOException) {
            Log.e(TAG, "The request can't be read: $error")
            if (!isRunning.get()) finish()
            return
        }
        val runner = BenchmarkRunner(Phone(applicationContext), resultsFolder())
        if (!isRunning.compareAndSet(false, true)) {
            runner.refuse(request, "Expected one request at a time. Received: a second one.")
            return
        }
        thread(name = "edgebert-benchmark") { run(runner, request) }
    }

    private fun run(runner: BenchmarkRunner, request: String) {
        val power = getSystemService(Context.POWER_SERVICE) as PowerManager
        val lock = power.newWakeLock(PowerManager.PARTIAL_WAKE_LOCK, "edgebert:benchmark")
        lock.acquire(LONGEST_MS)
        try {
            runner.run(request)
        } catch (error: IOException) {
            Log.e(TAG, "The result can't be written: $error")
        } finally {
            if (lock.isHeld) lock.release()
            isRunning.set(false)
            runOnUiThread(::finish)
        }
    }

    private fun resultsFolder(): File = File(getExternalFilesDir(null) ?: filesDir, "benchmark")

    private companion object {
        const val ACTION = "org.edgebert.demo.action.BENCHMARK"
        const val EXTRA_REQUEST = "request"
        const val TAG = "edgebert"
        const val LONGEST_MS = 3_600_000L
    }
}

/** This phone, for the runner. */
internal class Phone(private val context: Context) : BenchmarkDevice {
    private val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager

    override val appVersion: String
        get() = context.packageManager.getPackageInfo(context.packageName, 0).versionName.orEmpty()

    override val runtime: Pair<String, String>
        get() = "LiteRT" to context.getString(R.string.litert_version)

    override fun refusal(): String? =
        if (power.isInteractive) null
        else "Expected the screen to be on, or Android slows the app down. Next: wake the phone, unlock it, and measure again."

    override fun thermalStatus(): String? =
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) null
        else STATUSES.getOrNull(power.currentThermalStatus)

    override fun engines(threads: Int, delegate: String): Pair<EngineFactory, String> {
        if (!LiteRt.isSupported()) {
            throw EngineException(
                "Expected LiteRT in the app. Received: none for " +
                    "${Build.SUPPORTED_ABIS.joinToString()}. Next: build the app with Gradle, or " +
                    "with make apk AAR=litert.aar.",
            )
        }
        val isGpu = delegate == "gpu"
        val engines = LiteRt.engines(context, LiteRtOptions(threads, useGpu = isGpu))
        return engines to if (isGpu) "gpu" else "cpu"
    }

    private companion object {
        val STATUSES =
            listOf("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
    }
}
