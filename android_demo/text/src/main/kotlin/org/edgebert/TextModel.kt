package org.edgebert

import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * A model of a task, over its file and an engine.
 *
 * Threads may share one: they take turns. [close] waits for a call that runs. A call after [close]
 * throws [IllegalStateException].
 *
 * @property file that it was made of.
 */
public sealed class TextModel(public val file: ModelFile) : AutoCloseable {
    private val lock = ReentrantLock(true)
    private lateinit var engine: Engine
    private val slots = arrayOfNulls<TokenInputs>(maxOf(1, file.lengths.size))
    private var isClosed = false

    internal val tokenizer: Tokenizer get() = file.tokenizer

    // What a call works on, kept from call to call.
    internal val first = TokenList()
    internal val second = TokenList()

    /** Starts the runtime; until then there is nothing to close. */
    internal fun start(engines: EngineFactory) {
        engine = engines.create(file)
    }

    /** Frees the runtime, after a call that runs has ended. A second call does nothing. */
    final override fun close() {
        lock.withLock {
            if (isClosed) return
            isClosed = true
            engine.close()
        }
    }

    /** Does a call's work while no other thread does. */
    internal inline fun <T> locked(work: () -> T): T {
        begin()
        try {
            return work()
        } finally {
            end()
        }
    }

    internal fun begin() {
        lock.lock()
        if (isClosed) {
            lock.unlock()
            throw IllegalStateException("The model ${file.name} was closed. Next: open it again.")
        }
    }

    internal fun end() = lock.unlock()

    /** Runs the model on a text, or a pair of texts, that is cut to what the model reads. */
    internal fun runOn(text: String, pair: String?): Map<String, FloatArray> {
        tokenizer.splitPair(text, pair, file.maxLength, first, second)
        return if (pair == null) {
            run(first, 0, first.size)
        } else {
            run(first, 0, first.size, second, 0, second.size)
        }
    }

    /** Runs the shortest signature that some tokens fit in, with `[CLS]` and `[SEP]` around them. */
    internal fun run(tokens: TokenList, from: Int, to: Int): Map<String, FloatArray> {
        val inputs = inputsFor(to - from + 2)
        inputs.tokenIds[0] = tokenizer.clsId
        tokens.ids.copyInto(inputs.tokenIds, 1, from, to)
        inputs.tokenIds[to - from + 1] = tokenizer.sepId
        inputs.segmentIds.fill(0)
        return engine.run(signatureOf(inputs.length), inputs)
    }

    /** The same for a pair: `[CLS] A [SEP] B [SEP]`, with more `[SEP]` between if the vocabulary has it so. */
    internal fun run(
        a: TokenList,
        aFrom: Int,
        aTo: Int,
        b: TokenList,
        bFrom: Int,
        bTo: Int,
    ): Map<String, FloatArray> {
        val middle = aTo - aFrom + 1 + tokenizer.pairSeparators
        val used = middle + bTo - bFrom + 1
        val inputs = inputsFor(used)
        inputs.tokenIds[0] = tokenizer.clsId
        a.ids.copyInto(inputs.tokenIds, 1, aFrom, aTo)
        inputs.tokenIds.fill(tokenizer.sepId, aTo - aFrom + 1, middle)
        b.ids.copyInto(inputs.tokenIds, middle, bFrom, bTo)
        inputs.tokenIds[used - 1] = tokenizer.sepId
        inputs.segmentIds.fill(0)
        inputs.segmentIds.fill(tokenizer.secondSegment, middle, used)
        return engine.run(signatureOf(inputs.length), inputs)
    }

    /** What the file gives, of the outputs of [run]. */
    internal fun outputOf(outputs: Map<String, FloatArray>): FloatArray =
        outputs[file.output] ?: outputs.values.singleOrNull() ?: throw EngineException(
            "${file.name}: expected the output ${file.output}. Received: ${outputs.keys.sorted()}.",
        )

    private fun signatureOf(length: Int): String =
        if (file.lengths.isEmpty()) DYNAMIC_SIGNATURE else signatureNames.getValue(length)

    private val signatureNames = file.lengths.associateWith { "tokens_$it" }

    /** The inputs of the shortest signature that so many tokens fit in, with padding behind them. */
    private fun inputsFor(used: Int): TokenInputs {
        var slot = 0
        var length = used
        if (file.lengths.isNotEmpty()) {
            while (file.lengths[slot] < used) slot++
            length = file.lengths[slot]
        }
        val inputs = slots[slot]?.takeIf { it.length == length } ?: TokenInputs(length).also { slots[slot] = it }
        inputs.tokenCount = used
        inputs.tokenIds.fill(tokenizer.padId, used, length)
        inputs.paddingMask.fill(1, 0, used)
        inputs.paddingMask.fill(0, used, length)
        return inputs
    }

    public companion object : ModelOpener<TextModel> {
        private const val DYNAMIC_SIGNATURE = "tokens_dynamic"

        /**
         * The model of whatever task the file is for.
         *
         * @throws ModelException the file is a bare encoder, or of a task that is not known here.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): TextModel = when (file.task) {
            in TextClassifier.TASKS -> TextClassifier.open(file, engines)
            in TextScorer.TASKS -> TextScorer.open(file, engines)
            in TokenTagger.TASKS -> TokenTagger.open(file, engines)
            in QuestionAnswerer.TASKS -> QuestionAnswerer.open(file, engines)
            in TextEmbedder.TASKS -> TextEmbedder.open(file, engines)
            in MaskFiller.TASKS -> MaskFiller.open(file, engines)
            else -> throw ModelException(
                "${file.name}: expected a model of a task. Received: ${file.task}. Next: export a model of " +
                    "one of the tasks of docs/tasks.md, or update the library.",
            )
        }

        /**
         * Opens a model for tasks that it must be for, and outputs that it must give.
         *
         * @throws ModelException the file is of another task, gives something else, or has settings that
         *   are none.
         */
        internal fun <T : TextModel> opened(
            file: ModelFile,
            engines: EngineFactory,
            tasks: List<String>,
            outputs: List<String>,
            make: () -> T,
        ): T {
            if (file.task !in tasks) {
                throw ModelException(
                    "${file.name}: expected a model of ${tasks.joinToString(" or ")}. Received: one of " +
                        "${file.task}. Next: open it with TextModel.open, which takes every task.",
                )
            }
            if (file.output !in outputs) {
                throw ModelException(
                    "${file.name}: expected a file that gives ${outputs.joinToString(" or ")}. Received: one that " +
                        "gives ${file.output}. Next: export it again, or update the library.",
                )
            }
            val model = try {
                make()
            } catch (error: ModelException) {
                throw ModelException("${file.name} can't be used: ${error.message}. Next: export it again.", error)
            }
            model.start(engines)
            return model
        }
    }
}
