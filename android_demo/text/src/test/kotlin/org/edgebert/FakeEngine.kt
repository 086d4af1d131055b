package org.edgebert

/** An engine that computes nothing: [answer] says what it gives. */
internal class FakeEngine(private val answer: (String, TokenInputs) -> Map<String, FloatArray>) : Engine {
    /** How often it was closed. */
    var closed = 0
        private set

    override fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray> {
        check(closed == 0) { "a closed engine was run" }
        return answer(signature, inputs)
    }

    override fun close() {
        closed++
    }
}
