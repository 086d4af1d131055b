package org.edgebert.demo

import android.content.Context
import com.google.ai.edge.litert.StandInRuntime
import java.io.File
import org.edgebert.DesktopEngine
import org.edgebert.EngineException
import org.edgebert.ModelException
import org.edgebert.ModelFile
import org.edgebert.TextClassifier
import org.edgebert.TextModel
import org.edgebert.litert.LiteRt
import org.edgebert.litert.LiteRtOptions
import org.edgebert.litert.openAsset
import org.edgebert.litert.openFile
import org.edgebert.standins.DesktopRuntime
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [23, 34])
class LiteRtTest {
    @get:Rule
    val runtime = RealRuntime()

    private val context: Context get() = RuntimeEnvironment.getApplication()

    private val texts = listOf("turn the lights on", "it is a great film today", "", "stop ".repeat(60))

    @Test
    fun `an asset and a file give the answers of the desktop engine`() {
        val path = modelOf("classification")
        val expected = TextClassifier.open(ModelFile.open(path), DesktopEngine.factory())
            .use { model -> texts.map(model::classify) }
        val asset = TextClassifier.openAsset(context, path.name)
            .use { model -> texts.map { model.classify(it) } }
        val file = TextClassifier.openFile(context, path)
            .use { model -> texts.map { model.classify(it) } }
        assertEquals(expected, asset)
        assertEquals(expected, file)
    }

    @Test
    fun `the weight cache is named by the model's hash, in the cache folder`() {
        val path = modelOf("classification")
        TextClassifier.openFile(context, path, LiteRtOptions(threads = 2)).close()
        val cpu = requireNotNull(DesktopRuntime.opened.last().cpuOptions)
        assertEquals(2, cpu.numThreads)
        val cache = File(requireNotNull(cpu.xnnPackWeightCachePath))
        assertEquals("${ModelFile.open(path).sha256()}.xnnpack", cache.name)
        assertTrue(cache.path.startsWith(context.cacheDir.path))
        TextClassifier.openFile(context, path, LiteRtOptions(useWeightCache = false)).close()
        assertNull(DesktopRuntime.opened.last().cpuOptions?.xnnPackWeightCachePath)
    }

    @Test
    fun `a cache folder that can't be written is done without`() {
        File(context.cacheDir, "edgebert-weights").writeText("no folder")
        TextClassifier.openFile(context, modelOf("classification")).use { it.classify("film") }
        assertNull(DesktopRuntime.opened.last().cpuOptions?.xnnPackWeightCachePath)
    }

    @Test
    fun `where there is no library it can be asked, and opening says so`() {
        assertTrue(LiteRt.isSupported())
        StandInRuntime.opener = null
        assertFalse(LiteRt.isSupported())
        val error = assertThrows(EngineException::class.java) {
            TextModel.openAsset(context, "classification.tflite")
        }
        assertTrue(error.message.orEmpty(), "LiteRt.isSupported()" in error.message.orEmpty())
    }

    @Test
    fun `an asset that is compressed names noCompress, one that is missing what there is`() {
        val compressed = assertThrows(ModelException::class.java) {
            TextModel.openAsset(context, "compressed.bin")
        }
        assertTrue(compressed.message.orEmpty(), "noCompress" in compressed.message.orEmpty())
        val missing = assertThrows(ModelException::class.java) {
            TextModel.openAsset(context, "other.tflite")
        }
        assertTrue(missing.message.orEmpty(), "classification.tflite" in missing.message.orEmpty())
    }

    @Test
    fun `a file of any length and a file of another task are refused`() {
        val dynamic = assertThrows(EngineException::class.java) {
            TextModel.openFile(context, File(models, "any-length.tflite"))
        }
        assertTrue(dynamic.message.orEmpty(), "--lengths" in dynamic.message.orEmpty())
        assertThrows(ModelException::class.java) {
            TextClassifier.openFile(context, modelOf("ner"))
        }
    }

    @Test
    fun `a closed model says so`() {
        val model = TextClassifier.openFile(context, modelOf("classification"))
        model.close()
        model.close()
        assertThrows(IllegalStateException::class.java) { model.classify("film") }
    }
}
