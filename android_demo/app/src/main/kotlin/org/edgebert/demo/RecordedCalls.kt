package org.edgebert.demo

import org.edgebert.Engine
import org.edgebert.EngineFactory
import org.edgebert.ModelFile
import org.edgebert.TokenInputs

/** One call of the runtime: the tokens that went in, without padding, and what came out. */
internal class RecordedCall(
    val tokenIds: IntArray,
    val segmentIds: IntArray,
    val outputs: Map<String, FloatArray>,
)

/** Makes engines that keep each call while [isOn], for a check against another machine. */
internal class RecordedCalls(private val engines: EngineFactory) : EngineFactory {
    var isOn: Boolean = false
    private val calls = ArrayList<RecordedCall>()

    /** The calls since the last time, in order. */
    fun taken(): List<RecordedCall> = ArrayList(calls).also { calls.clear() }

    override fun create(file: ModelFile): Engine {
        val engine = engines.create(file)
        return object : Engine {
            override fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray> {
                val outputs = engine.run(signature, inputs)
                if (isOn) calls += recorded(inputs, outputs)
                return outputs
            }

            override fun close() = engine.close()
        }
    }

    private fun recorded(inputs: TokenInputs, outputs: Map<String, FloatArray>): RecordedCall {
        val used = inputs.paddingMask.count { it != 0 }
        return RecordedCall(
            inputs.tokenIds.copyOf(used),
            inputs.segmentIds.copyOf(used),
            outputs.mapValues { it.value.copyOf() },
        )
    }
}
