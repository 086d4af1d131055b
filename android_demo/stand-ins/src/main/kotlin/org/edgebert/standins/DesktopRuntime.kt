package org.edgebert.standins

import com.google.ai.edge.litert.CompiledModel
import com.google.ai.edge.litert.StandInRuntime
import java.io.File
import org.edgebert.DesktopEngine
import org.edgebert.ModelFile
import org.edgebert.TokenInputs

/** Puts LiteRT of this machine behind the stand-ins, so that tests get real answers. */
public object DesktopRuntime : StandInRuntime.Opener {
    /** The options that models were opened with, the last one last. */
    public val opened: MutableList<CompiledModel.Options> = ArrayList()

    override fun open(path: String, options: CompiledModel.Options): StandInRuntime.Runner {
        opened += options
        val threads = options.cpuOptions?.numThreads ?: 1
        val engine = DesktopEngine.factory(threads = threads).create(ModelFile.open(File(path)))
        return object : StandInRuntime.Runner {
            override fun run(
                signature: String,
                inputs: Map<String, IntArray>,
            ): Map<String, FloatArray> {
                val tokens = TokenInputs(inputs.getValue("token_ids").size)
                for ((name, values) in inputs) values.copyInto(requireNotNull(tokens[name]))
                return engine.run(signature, tokens)
            }

            override fun close() = engine.close()
        }
    }
}
