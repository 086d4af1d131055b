package org.edgebert.litert

import android.content.res.AssetManager
import android.os.Build
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.LiteRtException
import com.google.ai.edge.litert.TensorBuffer
import java.io.File
import org.edgebert.Engine
import org.edgebert.EngineException
import org.edgebert.ModelFile
import org.edgebert.TokenInputs

/** Runs a model through LiteRT's `CompiledModel`. Buffers are made at the first call of a length. */
internal class LiteRtEngine private constructor(
    private val model: CompiledModel,
    private val name: String,
    private val outputNames: List<String>,
) : Engine {
    private val slots = HashMap<String, Slot>()
    private var isClosed = false

    override fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray> {
        check(!isClosed) { "$name is closed." }
        return guarded({ "$name: LiteRT failed at $signature" }) {
            val slot = slots.getOrPut(signature) { Slot(signature) }
            for ((input, buffer) in slot.inputs) {
                buffer.writeInt(requireNotNull(inputs[input]))
            }
            model.run(slot.inputs, slot.outputs, signature)
            slot.outputs.mapValues { it.value.readFloat() }
        }
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        for (slot in slots.values) {
            slot.inputs.values.forEach(TensorBuffer::close)
            slot.outputs.values.forEach(TensorBuffer::close)
        }
        model.close()
    }

    private inner class Slot(signature: String) {
        val inputs: Map<String, TensorBuffer> =
            INPUTS.associateWith { model.createInputBuffer(it, signature) }
        val outputs: Map<String, TensorBuffer> =
            outputNames.associateWith { model.createOutputBuffer(it, signature) }
    }

    companion object {
        private val INPUTS = listOf("token_ids", "padding_mask", "segment_ids")
        private val SPAN_OUTPUTS = listOf("start_logits", "end_logits")

        fun ofFile(file: ModelFile, path: File, options: LiteRtOptions, cache: WeightCache): Engine =
            open(file, options, cache) { CompiledModel.create(path.path, it) }

        fun ofAsset(
            file: ModelFile,
            assets: AssetManager,
            asset: String,
            options: LiteRtOptions,
            cache: WeightCache,
        ): Engine = open(file, options, cache) { CompiledModel.create(assets, asset, it) }

        private fun open(
            file: ModelFile,
            options: LiteRtOptions,
            cache: WeightCache,
            create: (CompiledModel.Options) -> CompiledModel,
        ): Engine {
            if (file.lengths.isEmpty()) {
                throw EngineException(
                    "Expected a model with fixed token lengths. Received: ${file.name}, which " +
                        "takes any length; LiteRT's Kotlin API can't resize inputs. Next: export " +
                        "it without --dynamic-length, such as with --lengths 16,32,64,128.",
                )
            }
            val compiled = guarded({ "${file.name}: LiteRT does not take the file" }) {
                create(compilerOptions(file, options, cache))
            }
            val outputs = if (file.task == "qa") SPAN_OUTPUTS else listOf(file.output)
            return LiteRtEngine(compiled, file.name, outputs)
        }

        private fun compilerOptions(
            file: ModelFile,
            options: LiteRtOptions,
            cache: WeightCache,
        ): CompiledModel.Options {
            val accelerators =
                if (options.useGpu) arrayOf(Accelerator.GPU, Accelerator.CPU)
                else arrayOf(Accelerator.CPU)
            val path = if (options.useWeightCache) cache.pathOf(file) else null
            return CompiledModel.Options(*accelerators).apply {
                cpuOptions = CompiledModel.CpuOptions(options.threads, null, path)
            }
        }

        /** Does something with LiteRT and turns what it throws into an [EngineException]. */
        private inline fun <T> guarded(what: () -> String, action: () -> T): T = try {
            action()
        } catch (error: LiteRtException) {
            throw EngineException("${what()}: ${error.message}. See the log (tag tflite).", error)
        } catch (error: LinkageError) {
            throw EngineException(
                "LiteRT has no library for this phone's processor, or the app lacks it. Received: " +
                    "${Build.SUPPORTED_ABIS.joinToString()} (${error.message}). Next: ask " +
                    "LiteRt.isSupported() first; add com.google.ai.edge.litert:litert to the app.",
                error,
            )
        }
    }
}
