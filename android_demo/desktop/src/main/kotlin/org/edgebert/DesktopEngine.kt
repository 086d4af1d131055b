package org.edgebert

import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.Pointer
import com.sun.jna.ptr.PointerByReference
import java.io.File
import org.edgebert.LoadedLiteRt.Companion.check
import org.edgebert.LoadedLiteRt.Companion.count
import org.edgebert.LoadedLiteRt.Companion.got

/** Runs a model on the JVM through `libLiteRt.so`, which is in the package ai-edge-litert of PyPI. */
public class DesktopEngine private constructor(
    private val liteRt: LoadedLiteRt,
    private val file: ModelFile,
    threads: Int,
) : Engine {
    private val functions = liteRt.functions
    private val bytes = file.buffer // LiteRT reads from it as long as the model is there
    private var model: Pointer? = null
    private var compiled: Pointer? = null
    private val signatures = HashMap<String, Signature>()

    init {
        try {
            val model = openModel().also { model = it }
            compiled = compile(model, threads)
            val signatureCount =
                count("LiteRtGetNumModelSignatures") { functions.LiteRtGetNumModelSignatures(model, it) }
            for (index in 0L until signatureCount) {
                val handle = got("LiteRtGetModelSignature") { functions.LiteRtGetModelSignature(model, index, it) }
                val key = got("LiteRtGetSignatureKey") { functions.LiteRtGetSignatureKey(handle, it) }.getString(0)
                signatures[key] = Signature(index, handle)
            }
        } catch (error: EngineException) {
            close()
            throw EngineException("${file.name} can't be run: ${error.message}", error)
        } catch (error: UnsatisfiedLinkError) {
            throw EngineException("The library of LiteRT is too old: ${error.message}. Next: take 2.1.6 or newer.", error)
        }
    }

    private fun openModel(): Pointer {
        val path = file.path
        if (path != null) {
            return got("LiteRtCreateModelFromFile") {
                functions.LiteRtCreateModelFromFile(liteRt.environment, path.path, it)
            }
        }
        if (!bytes.isDirect) {
            throw EngineException("expected a file or a direct buffer. Received: a buffer on the heap.")
        }
        return got("LiteRtCreateModelFromBuffer") {
            val memory = Native.getDirectBufferPointer(bytes)
            functions.LiteRtCreateModelFromBuffer(liteRt.environment, memory, bytes.limit().toLong(), it)
        }
    }

    private fun compile(model: Pointer, threads: Int): Pointer {
        val options = liteRt.cpuOptions(threads)
        try {
            return got("LiteRtCreateCompiledModel") {
                functions.LiteRtCreateCompiledModel(liteRt.environment, model, options, it)
            }
        } finally {
            functions.LiteRtDestroyOptions(options)
        }
    }

    override fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray> {
        val known = signatures[signature] ?: throw EngineException(
            "${file.name}: expected one of the signatures ${signatures.keys.sorted()}. Received: $signature.",
        )
        return known.run(inputs)
    }

    override fun close() {
        signatures.values.forEach { it.free() }
        signatures.clear()
        compiled?.let { functions.LiteRtDestroyCompiledModel(it) }
        compiled = null
        model?.let { functions.LiteRtDestroyModel(it) }
        model = null
    }

    /** A signature: its buffers are made at the first call, and again where the length changes. */
    private inner class Signature(private val index: Long, private val handle: Pointer) {
        private val inputNames = names(
            count("LiteRtGetNumSignatureInputs") { functions.LiteRtGetNumSignatureInputs(handle, it) },
        ) { place, name -> functions.LiteRtGetSignatureInputName(handle, place, name) }
        private val outputNames = names(
            count("LiteRtGetNumSignatureOutputs") { functions.LiteRtGetNumSignatureOutputs(handle, it) },
        ) { place, name -> functions.LiteRtGetSignatureOutputName(handle, place, name) }
        private val inputTypes = inputNames.indices.map { place ->
            typeOf { functions.LiteRtGetSignatureInputTensorByIndex(handle, place.toLong(), it) }
        }
        private val outputTypes = outputNames.indices.map { place ->
            typeOf { functions.LiteRtGetSignatureOutputTensorByIndex(handle, place.toLong(), it) }
        }
        private var length = 0
        private var inputs = emptyList<Pointer>()
        private var outputs = emptyList<Pointer>()
        private val inputTable = Memory(maxOf(1, inputNames.size) * Native.POINTER_SIZE.toLong())
        private val outputTable = Memory(maxOf(1, outputNames.size) * Native.POINTER_SIZE.toLong())
        private var results = emptyMap<String, FloatArray>()

        fun run(given: TokenInputs): Map<String, FloatArray> {
            if (length != given.length) resize(given.length)
            for ((place, name) in inputNames.withIndex()) {
                val values = given[name] ?: throw EngineException("${file.name} has an unknown input $name.")
                locked(inputs[place], WRITE) { Elements.write(it, inputTypes[place].elementType, values) }
            }
            check(
                "LiteRtRunCompiledModel",
                functions.LiteRtRunCompiledModel(
                    compiled!!,
                    index,
                    inputs.size.toLong(),
                    inputTable,
                    outputs.size.toLong(),
                    outputTable,
                ),
            )
            for ((place, name) in outputNames.withIndex()) {
                val result = results.getValue(name)
                locked(outputs[place], READ) { it.read(0, result, 0, result.size) }
            }
            return results
        }

        private fun resize(wanted: Int) {
            free()
            if (inputTypes.any { it.elements != wanted }) setLength(wanted)
            inputs = inputTypes.mapIndexed { place, type ->
                buffer(type) {
                    functions.LiteRtGetCompiledModelInputBufferRequirements(compiled!!, index, place.toLong(), it)
                }
            }
            outputs = outputTypes.mapIndexed { place, type ->
                buffer(type) {
                    functions.LiteRtGetCompiledModelOutputBufferRequirements(compiled!!, index, place.toLong(), it)
                }
            }
            inputs.forEachIndexed { place, each -> inputTable.setPointer(place * Native.POINTER_SIZE.toLong(), each) }
            outputs.forEachIndexed { place, each -> outputTable.setPointer(place * Native.POINTER_SIZE.toLong(), each) }
            results = outputNames.indices.associate { place ->
                val type = outputTypes[place]
                if (type.elementType != Elements.FLOAT32) {
                    throw EngineException("${file.name}: expected the output ${outputNames[place]} in float32.")
                }
                outputNames[place] to FloatArray(type.elements)
            }
            length = wanted
        }

        private fun setLength(wanted: Int) {
            for ((place, type) in inputTypes.withIndex()) {
                val sizes = intArrayOf(1, wanted)
                check(
                    "LiteRtCompiledModelResizeInputTensor",
                    functions.LiteRtCompiledModelResizeInputTensor(compiled!!, index, place.toLong(), sizes, 2),
                )
                type.setDimensions(sizes)
            }
            val layouts = Memory(outputTypes.size * TensorType.LAYOUT_SIZE.toLong())
            check(
                "LiteRtGetCompiledModelOutputTensorLayouts",
                functions.LiteRtGetCompiledModelOutputTensorLayouts(
                    compiled!!,
                    index,
                    outputTypes.size.toLong(),
                    layouts,
                    true,
                ),
            )
            for ((place, type) in outputTypes.withIndex()) {
                type.setLayout(layouts.share(place * TensorType.LAYOUT_SIZE.toLong()))
            }
        }

        private fun buffer(type: TensorType, require: (PointerByReference) -> Int): Pointer {
            val requirements = got("LiteRtGetCompiledModelBufferRequirements", require)
            return got("LiteRtCreateManagedTensorBufferFromRequirements") {
                functions.LiteRtCreateManagedTensorBufferFromRequirements(
                    liteRt.environment,
                    type.memory,
                    requirements,
                    it,
                )
            }
        }

        private inline fun locked(buffer: Pointer, mode: Int, use: (Pointer) -> Unit) {
            val memory = got("LiteRtLockTensorBuffer") { functions.LiteRtLockTensorBuffer(buffer, it, mode) }
            try {
                use(memory)
            } finally {
                check("LiteRtUnlockTensorBuffer", functions.LiteRtUnlockTensorBuffer(buffer))
            }
        }

        private fun names(count: Int, name: (Long, PointerByReference) -> Int): List<String> =
            List(count) { place -> got("LiteRtGetSignatureName") { name(place.toLong(), it) }.getString(0) }

        private fun typeOf(tensor: (PointerByReference) -> Int): TensorType {
            val type = TensorType()
            val handle = got("LiteRtGetSignatureTensorByIndex", tensor)
            check("LiteRtGetRankedTensorType", functions.LiteRtGetRankedTensorType(handle, type.memory))
            return type
        }

        fun free() {
            (inputs + outputs).forEach { functions.LiteRtDestroyTensorBuffer(it) }
            inputs = emptyList()
            outputs = emptyList()
            length = 0
        }
    }

    public companion object {
        private const val LIBRARY_VARIABLE = "EDGEBERT_LITERT_LIBRARY"
        private const val READ = 0
        private const val WRITE = 1

        /**
         * Engines over a library of LiteRT, 2.1.6 or newer.
         *
         * @param library `libLiteRt.so`; null for the one that the environment variable
         *   `EDGEBERT_LITERT_LIBRARY` names.
         * @param threads of the runtime.
         * @throws EngineException no library is named, or it can't be loaded.
         */
        @JvmStatic
        @JvmOverloads
        public fun factory(library: File? = null, threads: Int = 1): EngineFactory {
            require(threads >= 1) { "Expected at least 1 thread. Received: $threads." }
            val named = library ?: System.getenv(LIBRARY_VARIABLE)?.let(::File) ?: throw EngineException(
                "No library of LiteRT is named. Next: set $LIBRARY_VARIABLE to ai_edge_litert/libLiteRt.so, which " +
                    "`pip install ai-edge-litert` brings.",
            )
            val liteRt = LoadedLiteRt.of(named)
            return EngineFactory { DesktopEngine(liteRt, it, threads) }
        }
    }
}

/** The element types of LiteRT's tensors that inputs of ours may have. */
internal object Elements {
    const val FLOAT32 = 1
    private const val INT32 = 2
    private const val UINT8 = 3
    private const val INT64 = 4
    private const val BOOL = 6
    private const val INT8 = 9

    /** Writes numbers in an element type. */
    fun write(memory: Pointer, type: Int, values: IntArray) = when (type) {
        INT32 -> memory.write(0, values, 0, values.size)
        INT64 -> values.forEachIndexed { place, value -> memory.setLong(8L * place, value.toLong()) }
        FLOAT32 -> values.forEachIndexed { place, value -> memory.setFloat(4L * place, value.toFloat()) }
        UINT8, BOOL, INT8 -> values.forEachIndexed { place, value -> memory.setByte(place.toLong(), value.toByte()) }
        else -> throw EngineException("LiteRT: expected inputs of integers or floats. Received: the type $type.")
    }
}
