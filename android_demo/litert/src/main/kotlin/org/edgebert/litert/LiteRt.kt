package org.edgebert.litert

import android.content.Context
import com.google.ai.edge.litert.Environment
import java.io.File
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.nio.channels.FileChannel
import org.edgebert.EngineException
import org.edgebert.EngineFactory
import org.edgebert.ModelException
import org.edgebert.ModelFile

/**
 * How LiteRT runs a model.
 *
 * @property threads of the CPU runtime.
 * @property useGpu whether the GPU is asked first. What it does not take runs on the CPU.
 * @property useWeightCache whether XNNPACK keeps its packed weights in a file of the app's cache
 *   folder: later starts are faster, and all token lengths of a model share one copy in memory.
 */
public class LiteRtOptions @JvmOverloads constructor(
    public val threads: Int = 1,
    public val useGpu: Boolean = false,
    public val useWeightCache: Boolean = true,
) {
    init {
        require(threads >= 1) { "Expected at least one thread. Received: $threads." }
    }
}

/** The runtime, and where model files come from. */
public object LiteRt {
    /**
     * Whether this phone can run LiteRT: whether the app has its library for the phone's processor.
     *
     * Where it is false, opening a model throws [EngineException].
     */
    @JvmStatic
    public fun isSupported(): Boolean = try {
        Environment.create().close()
        true
    } catch (error: LinkageError) {
        false
    }

    /**
     * Engines for files.
     *
     * @param context any of the app; its application context alone is kept.
     */
    @JvmStatic
    @JvmOverloads
    public fun engines(context: Context, options: LiteRtOptions = LiteRtOptions()): EngineFactory {
        val cache = WeightCache(context)
        return EngineFactory { file ->
            val path = file.path ?: throw EngineException(
                "Expected a model file. Received: ${file.name}, a buffer without a path. " +
                    "Next: open it with openFile or openAsset.",
            )
            LiteRtEngine.ofFile(file, path, options, cache)
        }
    }

    /** Engines for one asset of the app: LiteRT reads assets by their name. */
    internal fun assetEngines(
        context: Context,
        name: String,
        options: LiteRtOptions,
    ): EngineFactory {
        val cache = WeightCache(context)
        return EngineFactory { file ->
            LiteRtEngine.ofAsset(file, context.assets, name, options, cache)
        }
    }

    /**
     * Maps a model that is an asset of the app. The APK holds it uncompressed, so nothing is copied.
     *
     * @throws ModelException there is no such asset, it is compressed, or no model of edgebert.
     */
    @JvmStatic
    @Throws(ModelException::class)
    public fun assetFile(context: Context, name: String): ModelFile {
        val assets = context.assets
        val descriptor = try {
            assets.openFd(name)
        } catch (error: FileNotFoundException) {
            throw ModelException(whyNotMapped(context, name), error)
        }
        return descriptor.use {
            FileInputStream(it.fileDescriptor).channel.use { channel ->
                ModelFile.of(
                    channel.map(FileChannel.MapMode.READ_ONLY, it.startOffset, it.declaredLength),
                    name,
                )
            }
        }
    }

    private fun whyNotMapped(context: Context, name: String): String = try {
        context.assets.open(name).close()
        "Expected an asset that is stored as it is. Received: $name, which the APK compresses. " +
            "Next: write androidResources { noCompress += \"tflite\" } into the app's " +
            "build.gradle.kts and give the file the ending .tflite."
    } catch (error: IOException) {
        val others = context.assets.list("").orEmpty().filter { it.endsWith(".tflite") }
        "Expected an asset of the app. Received: $name, which is not there. " +
            "Next: put the file into src/main/assets. Models there: " +
            (others.joinToString().ifEmpty { "none" }) + "."
    }

    internal fun modelFile(path: File): ModelFile = ModelFile.open(path)
}
