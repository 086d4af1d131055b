package org.edgebert

import com.sun.jna.Library
import com.sun.jna.Memory
import com.sun.jna.Native
import com.sun.jna.NativeLibrary
import com.sun.jna.Pointer
import com.sun.jna.ptr.LongByReference
import com.sun.jna.ptr.PointerByReference
import java.io.File

/** The C functions of LiteRT that are called, by the names of its headers. 0 is success. */
@Suppress("FunctionName")
internal interface LiteRt : Library {
    fun LiteRtCreateEnvironment(options: Int, values: Pointer?, environment: PointerByReference): Int

    fun LiteRtCreateModelFromFile(environment: Pointer, path: String, model: PointerByReference): Int

    fun LiteRtCreateModelFromBuffer(
        environment: Pointer,
        buffer: Pointer,
        size: Long,
        model: PointerByReference,
    ): Int

    fun LiteRtDestroyModel(model: Pointer)

    fun LiteRtCreateOptions(options: PointerByReference): Int

    fun LiteRtSetOptionsHardwareAccelerators(options: Pointer, accelerators: Int): Int

    fun LiteRtCreateOpaqueOptions(
        identifier: String,
        payload: Pointer,
        destructor: Pointer,
        options: PointerByReference,
    ): Int

    fun LiteRtAddOpaqueOptions(options: Pointer, opaque: Pointer): Int

    fun LiteRtDestroyOptions(options: Pointer)

    fun LiteRtCreateCompiledModel(
        environment: Pointer,
        model: Pointer,
        options: Pointer,
        compiled: PointerByReference,
    ): Int

    fun LiteRtDestroyCompiledModel(compiled: Pointer)

    fun LiteRtGetNumModelSignatures(model: Pointer, count: LongByReference): Int

    fun LiteRtGetModelSignature(model: Pointer, index: Long, signature: PointerByReference): Int

    fun LiteRtGetSignatureKey(signature: Pointer, key: PointerByReference): Int

    fun LiteRtGetNumSignatureInputs(signature: Pointer, count: LongByReference): Int

    fun LiteRtGetNumSignatureOutputs(signature: Pointer, count: LongByReference): Int

    fun LiteRtGetSignatureInputName(signature: Pointer, index: Long, name: PointerByReference): Int

    fun LiteRtGetSignatureOutputName(signature: Pointer, index: Long, name: PointerByReference): Int

    fun LiteRtGetSignatureInputTensorByIndex(signature: Pointer, index: Long, tensor: PointerByReference): Int

    fun LiteRtGetSignatureOutputTensorByIndex(signature: Pointer, index: Long, tensor: PointerByReference): Int

    fun LiteRtGetRankedTensorType(tensor: Pointer, type: Pointer): Int

    fun LiteRtCompiledModelResizeInputTensor(
        compiled: Pointer,
        signature: Long,
        input: Long,
        dimensions: IntArray,
        count: Long,
    ): Int

    fun LiteRtGetCompiledModelOutputTensorLayouts(
        compiled: Pointer,
        signature: Long,
        count: Long,
        layouts: Pointer,
        updates: Boolean,
    ): Int

    fun LiteRtGetCompiledModelInputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        input: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtGetCompiledModelOutputBufferRequirements(
        compiled: Pointer,
        signature: Long,
        output: Long,
        requirements: PointerByReference,
    ): Int

    fun LiteRtCreateManagedTensorBufferFromRequirements(
        environment: Pointer,
        type: Pointer,
        requirements: Pointer,
        buffer: PointerByReference,
    ): Int

    fun LiteRtDestroyTensorBuffer(buffer: Pointer)

    fun LiteRtLockTensorBuffer(buffer: Pointer, memory: PointerByReference, mode: Int): Int

    fun LiteRtUnlockTensorBuffer(buffer: Pointer): Int

    fun LiteRtRunCompiledModel(
        compiled: Pointer,
        signature: Long,
        inputs: Long,
        inputBuffers: Pointer,
        outputs: Long,
        outputBuffers: Pointer,
    ): Int
}

/** LiteRT's library with an environment, of which there is one for each library that was loaded. */
internal class LoadedLiteRt private constructor(private val library: File) {
    val functions: LiteRt = load()
    val environment: Pointer = got("LiteRtCreateEnvironment") { functions.LiteRtCreateEnvironment(0, null, it) }

    private fun load(): LiteRt = try {
        Native.load(library.path, LiteRt::class.java)
    } catch (error: UnsatisfiedLinkError) {
        throw EngineException(
            "LiteRT can't be loaded from $library: ${error.message} Next: give libLiteRt.so of the package " +
                "ai-edge-litert for this machine.",
            error,
        )
    }

    /** Options for the CPU: LiteRT takes them as a text in TOML, which it frees. */
    fun cpuOptions(threads: Int): Pointer {
        val options = got("LiteRtCreateOptions") { functions.LiteRtCreateOptions(it) }
        check("LiteRtSetOptionsHardwareAccelerators", functions.LiteRtSetOptionsHardwareAccelerators(options, CPU))
        val text = "num_threads = $threads\n".toByteArray()
        val payload = Pointer(Native.malloc(text.size + 1L))
        payload.write(0, text, 0, text.size)
        payload.setByte(text.size.toLong(), 0)
        val free = NativeLibrary.getInstance("c").getFunction("free")
        val opaque = got("LiteRtCreateOpaqueOptions") {
            functions.LiteRtCreateOpaqueOptions("xnnpack", payload, free, it)
        }
        check("LiteRtAddOpaqueOptions", functions.LiteRtAddOpaqueOptions(options, opaque))
        return options
    }

    companion object {
        private const val CPU = 1
        private val known = HashMap<File, LoadedLiteRt>()

        /** @throws EngineException it can't be loaded. */
        @Synchronized
        fun of(library: File): LoadedLiteRt =
            known.getOrPut(library.absoluteFile) { LoadedLiteRt(library.absoluteFile) }

        /** @throws EngineException the status of a call is no success. */
        fun check(call: String, status: Int) {
            if (status != 0) {
                throw EngineException("LiteRT: $call gave the status $status. What it says of it is on stderr.")
            }
        }

        /** The pointer that a call gives. */
        inline fun got(name: String, call: (PointerByReference) -> Int): Pointer {
            val found = PointerByReference()
            check(name, call(found))
            return found.value ?: throw EngineException("LiteRT: $name gave nothing.")
        }

        /** The number that a call gives. */
        inline fun count(name: String, call: (LongByReference) -> Int): Int {
            val found = LongByReference()
            check(name, call(found))
            return found.value.toInt()
        }
    }
}

/** What LiteRT says of a tensor: the C struct `LiteRtRankedTensorType`. */
internal class TensorType {
    val memory = Memory(SIZE).apply { clear() }

    val elementType: Int get() = memory.getInt(0)

    /** The sizes of its dimensions; below 0 where one is free. */
    val dimensions: IntArray
        get() = memory.getIntArray(DIMENSIONS, memory.getByte(LAYOUT).toInt() and RANK_BITS)

    val elements: Int get() = dimensions.fold(1) { product, size -> product * size }

    /** Takes over the sizes that a `LiteRtLayout` has. */
    fun setLayout(layout: Pointer) = memory.write(LAYOUT, layout.getByteArray(0, LAYOUT_SIZE), 0, LAYOUT_SIZE)

    fun setDimensions(sizes: IntArray) = memory.write(DIMENSIONS, sizes, 0, sizes.size)

    companion object {
        const val LAYOUT_SIZE = 68 // rank with a flag, 8 dimensions, 8 strides: 4 bytes each
        private const val LAYOUT = 4L
        private const val DIMENSIONS = 8L
        private const val RANK_BITS = 0x7F
        private const val SIZE = LAYOUT + LAYOUT_SIZE
    }
}
