package org.edgebert

import java.io.File

/** Runs a model on the JVM through `libLiteRt.so`, which is in the ai-edge-litert wheel. */
public class DesktopEngine private constructor() : Engine {
    override fun run(signature: String, inputs: TokenInputs): Map<String, FloatArray> = TODO()

    override fun close(): Unit = TODO()

    public companion object {
        /**
         * Engines over one library.
         *
         * @param library `libLiteRt.so`; by default the one that the environment variable
         *   `EDGEBERT_LITERT_LIBRARY` names.
         * @param threads of the runtime.
         * @throws EngineException the library can't be loaded.
         */
        @JvmStatic
        @JvmOverloads
        public fun factory(library: File = TODO(), threads: Int = 1): EngineFactory = TODO()
    }
}
