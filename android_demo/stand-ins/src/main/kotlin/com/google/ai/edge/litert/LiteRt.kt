/*
 * The signatures of LiteRT's Kotlin API that `org.edgebert` calls, as LiteRT 2.3.0 publishes them.
 *
 * LiteRT is on Google's Maven repository alone. The Maven build compiles against these classes, which
 * never travel in a jar or an APK; the Gradle build and a phone have the real ones. What a call does
 * here is up to [StandInRuntime]: tests put a runtime of this machine there.
 */
package com.google.ai.edge.litert

import android.content.res.AssetManager
import java.io.File

/** What the stand-ins do. Part of these stand-ins alone, not of LiteRT. */
public object StandInRuntime {
    /** Opens models; null where there is no runtime, as on a phone whose ABI has no library. */
    @Volatile
    public var opener: Opener? = null

    /** Opens a model file by its path. */
    public fun interface Opener {
        public fun open(path: String, options: CompiledModel.Options): Runner
    }

    /** A model that was opened. */
    public interface Runner : AutoCloseable {
        /** Runs a signature: int32 inputs by name in, float32 outputs by name out. */
        public fun run(signature: String, inputs: Map<String, IntArray>): Map<String, FloatArray>
    }

    internal fun required(): Opener =
        opener ?: throw UnsatisfiedLinkError("no litert_jni in java.library.path")
}

public enum class Accelerator(public val value: Int) {
    NONE(0),
    CPU(1),
    GPU(2),
    NPU(3),
}

public enum class Status(public val code: Int) {
    ErrorRuntimeFailure(3),
    ErrorNotFound(6),
    ErrorFileIO(500),
    ErrorCompilation(504),
}

public class LiteRtException(status: Status, message: String) : Exception("$status: $message")

public abstract class JniHandle internal constructor() : AutoCloseable {
    private var isDestroyed = false

    protected fun assertNotDestroyed() {
        check(!isDestroyed) { "The handle has been destroyed." }
    }

    protected abstract fun destroy()

    final override fun close() {
        if (!isDestroyed) {
            isDestroyed = true
            destroy()
        }
    }
}

public class Environment private constructor() : JniHandle() {
    public enum class Option(public val value: Int) {
        CompilerPluginLibraryDir(0),
        DispatchLibraryDir(1),
    }

    override fun destroy() {}

    public companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(options: Map<Option, String> = mapOf()): Environment {
            StandInRuntime.required()
            return Environment()
        }
    }
}

public class Model private constructor(internal val path: String) : JniHandle() {
    override fun destroy() {}

    public companion object {
        @Throws(LiteRtException::class)
        @JvmStatic
        public fun load(assetManager: AssetManager, assetName: String): Model {
            StandInRuntime.required()
            val copy = File.createTempFile("asset", ".tflite").apply { deleteOnExit() }
            assetManager.open(assetName).use { from -> copy.outputStream().use(from::copyTo) }
            return Model(copy.path)
        }

        @Throws(LiteRtException::class)
        @JvmStatic
        public fun load(filePath: String): Model {
            StandInRuntime.required()
            return Model(filePath)
        }
    }
}

public class TensorBuffer internal constructor(internal val name: String) : JniHandle() {
    internal var ints: IntArray = IntArray(0)
    internal var floats: FloatArray = FloatArray(0)

    @Throws(LiteRtException::class)
    public fun writeInt(data: IntArray) {
        assertNotDestroyed()
        ints = data.copyOf()
    }

    @Throws(LiteRtException::class)
    public fun readFloat(): FloatArray {
        assertNotDestroyed()
        return floats.copyOf()
    }

    override fun destroy() {}
}

public class CompiledModel private constructor(private val runner: StandInRuntime.Runner) :
    JniHandle() {
    public data class CpuOptions(
        public val numThreads: Int? = null,
        public val xnnPackFlags: Int? = null,
        public val xnnPackWeightCachePath: String? = null,
    )

    public class Options(public vararg val accelerators: Accelerator) {
        public var cpuOptions: CpuOptions? = null

        public companion object {
            @JvmStatic
            public val CPU: Options = Options(Accelerator.CPU)
        }
    }

    @Throws(LiteRtException::class)
    public fun createInputBuffer(inputName: String, signature: String? = null): TensorBuffer {
        assertNotDestroyed()
        return TensorBuffer(inputName)
    }

    @Throws(LiteRtException::class)
    public fun createOutputBuffer(outputName: String, signature: String? = null): TensorBuffer {
        assertNotDestroyed()
        return TensorBuffer(outputName)
    }

    @Throws(LiteRtException::class)
    public fun run(
        inputs: Map<String, TensorBuffer>,
        outputs: Map<String, TensorBuffer>,
        signature: String? = null,
    ) {
        assertNotDestroyed()
        val named = try {
            runner.run(requireNotNull(signature), inputs.mapValues { it.value.ints })
        } catch (error: RuntimeException) {
            throw LiteRtException(Status.ErrorRuntimeFailure, error.message ?: "failed")
        }
        for ((name, buffer) in outputs) {
            buffer.floats = named[name]
                ?: throw LiteRtException(Status.ErrorNotFound, "no output $name")
        }
    }

    override fun destroy() {
        runner.close()
    }

    public companion object {
        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(
            model: Model,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel = try {
            CompiledModel(StandInRuntime.required().open(model.path, options))
        } catch (error: RuntimeException) {
            throw LiteRtException(Status.ErrorCompilation, error.message ?: "failed")
        }

        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(
            assetManager: AssetManager,
            assetName: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel = create(Model.load(assetManager, assetName), options, optionalEnv)

        @Throws(LiteRtException::class)
        @JvmOverloads
        @JvmStatic
        public fun create(
            filePath: String,
            options: Options = Options.CPU,
            optionalEnv: Environment? = null,
        ): CompiledModel = create(Model.load(filePath), options, optionalEnv)
    }
}
