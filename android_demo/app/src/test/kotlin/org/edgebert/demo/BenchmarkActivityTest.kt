package org.edgebert.demo

import android.content.Context
import android.content.Intent
import android.os.PowerManager
import java.io.File
import org.edgebert.ModelFile
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [23, 34])
class BenchmarkActivityTest {
    @get:Rule
    val runtime = RealRuntime()

    @get:Rule
    val folder = TemporaryFolder()

    private val context: Context get() = RuntimeEnvironment.getApplication()

    private val results get() = File(context.getExternalFilesDir(null), "benchmark")

    private fun request(id: String, calls: Int = 3): File {
        val model = modelOf("classification")
        val time = JSONObject("""{"inputs": [{"texts": ["a film"]}], "warmup_calls": 1}""")
            .put("blocks", 2).put("block_calls", calls).put("seconds", 60)
        val json = JSONObject()
            .put("format", "edgebert-app-request").put("version", 2).put("id", id)
            .put("model", model.path).put("sha256", ModelFile.open(model).sha256())
            .put("threads", 1).put("delegate", "cpu").put("time", time)
            .put("check", JSONObject("""{"a": [{"texts": ["a film"]}]}""").getJSONArray("a"))
        return folder.newFile().apply { writeText(json.toString()) }
    }

    private fun intent(path: String?) = Intent("org.edgebert.demo.action.BENCHMARK")
        .putExtra("request", path)

    private fun result(id: String): JSONObject = JSONObject(File(results, "$id.json").readText())

    private fun start(path: String?) =
        Robolectric.buildActivity(BenchmarkActivity::class.java, intent(path)).create().start()

    @Test
    fun `a request is answered and the screen closes`() {
        val activity = start(request("abc1").path).get()
        waitUntil("the end") { activity.isFinishing }
        val result = result("abc1")
        assertEquals(result.toString(), "done", result.getString("state"))
        assertEquals("0.1.0", result.getString("app_version"))
        assertEquals("2.3.0", result.getJSONObject("runtime").getString("version"))
        assertEquals(2, result.getJSONArray("blocks_ms").length())
        val row = result.getJSONArray("check").getJSONObject(0)
        assertTrue(row.getJSONObject("answer").getString("label").isNotEmpty())
        assertEquals(1, row.getJSONArray("calls").length())
        assertFalse(File(results, "abc1.part").exists())
    }

    @Test
    fun `in the dark it refuses`() {
        val power = context.getSystemService(Context.POWER_SERVICE) as PowerManager
        shadowOf(power).setIsInteractive(false)
        val activity = start(request("abc2").path).get()
        waitUntil("the end") { activity.isFinishing }
        assertEquals("failed", result("abc2").getString("state"))
        assertTrue("screen" in result("abc2").getString("error"))
    }

    @Test
    fun `a second request is refused while one runs`() {
        val controller = start(request("abc3", calls = 2000).path)
        controller.newIntent(intent(request("abc4").path))
        assertTrue("one request at a time" in result("abc4").getString("error"))
        waitUntil("the end") { controller.get().isFinishing }
        assertEquals("done", result("abc3").getString("state"))
    }

    @Test
    fun `without a request, or with one that is not there, it ends`() {
        for (path in listOf(null, "/nowhere/request.json")) {
            assertTrue(start(path).get().isFinishing)
        }
    }

    @Test
    fun `only who has the permission DUMP may start it`() {
        val info = context.packageManager.getPackageInfo(
            context.packageName, android.content.pm.PackageManager.GET_ACTIVITIES,
        )
        val activity = info.activities.orEmpty().single { it.name.endsWith("BenchmarkActivity") }
        assertEquals("android.permission.DUMP", activity.permission)
    }
}
