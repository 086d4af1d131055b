package org.edgebert.demo

import android.app.Activity
import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Build
import android.os.Looper
import android.view.View
import com.google.ai.edge.litert.StandInRuntime
import java.io.File
import java.util.concurrent.TimeUnit
import org.edgebert.standins.DesktopRuntime
import org.junit.Assert.fail
import org.junit.rules.ExternalResource
import org.robolectric.Shadows.shadowOf

/** The folder of the models of all tasks, which tests/android/make_models.py writes. */
internal val models: File = File(System.getProperty("edgebert.models"))

/** The model of a task. */
internal fun modelOf(task: String): File = File(models, "assets/$task.tflite").also {
    check(it.isFile) { "$it is not there. Next: make android." }
}

/** Puts LiteRT of this machine behind the stand-ins for a test. */
class RealRuntime : ExternalResource() {
    override fun before() {
        StandInRuntime.opener = DesktopRuntime
    }

    override fun after() {
        StandInRuntime.opener = null
    }
}

/** Lets the main thread and the worker go on until something holds. */
internal fun waitUntil(what: String, holds: () -> Boolean) {
    val end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LONGEST_SECONDS)
    while (System.nanoTime() < end) {
        shadowOf(Looper.getMainLooper()).idle()
        if (holds()) return
        Thread.sleep(POLL_MS)
    }
    fail("$what did not happen within $LONGEST_SECONDS s")
}

/** Writes what an activity looks like as a PNG, and gives how many colours it has: many below API 26. */
internal fun screenshot(activity: Activity, name: String): Int {
    // Before API 26 Robolectric draws nothing that could be looked at.
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.O) return Int.MAX_VALUE
    val view = activity.window.decorView
    if (view.width == 0) layOut(view)
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    val folder = File(System.getProperty("edgebert.screenshots")).apply { mkdirs() }
    File(folder, "$name.png").outputStream().use {
        bitmap.compress(Bitmap.CompressFormat.PNG, PNG_QUALITY, it)
    }
    val pixels = IntArray(view.width * view.height)
    bitmap.getPixels(pixels, 0, view.width, 0, 0, view.width, view.height)
    return pixels.toSet().size
}

/** An activity that was made anew is laid out at the next frame, which no test waits for. */
private fun layOut(view: View) {
    val metrics = view.resources.displayMetrics
    val exactly = View.MeasureSpec.EXACTLY
    view.measure(
        View.MeasureSpec.makeMeasureSpec(metrics.widthPixels, exactly),
        View.MeasureSpec.makeMeasureSpec(metrics.heightPixels, exactly),
    )
    view.layout(0, 0, view.measuredWidth, view.measuredHeight)
}

private const val LONGEST_SECONDS = 60L
private const val POLL_MS = 5L
private const val PNG_QUALITY = 100
