package org.edgebert.demo

import java.io.IOException
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicReference
import org.edgebert.EngineException
import org.edgebert.ModelFile
import org.edgebert.TextModel

/** Where a model comes from: an asset of the app, or a file. */
internal interface ModelSource {
    /** Unique among the sources. */
    val key: String

    /** Maps the file. */
    fun file(): ModelFile

    /** Opens the model with its runtime. */
    fun model(): TextModel
}

/**
 * The demo without its screen: one state, one worker thread that has the one open model.
 *
 * All methods are called on the main thread, and [onState] is too.
 *
 * @param post does something on the main thread.
 */
internal class DemoSession(private val post: (() -> Unit) -> Unit) {
    private val worker: ExecutorService = Executors.newSingleThreadExecutor { work ->
        Thread(work, "edgebert-demo")
    }
    private val latest = AtomicReference<List<String>?>()
    private val sources = LinkedHashMap<String, ModelSource>()
    private var isClosed = false

    // Of the worker's thread alone.
    private var openModel: TextModel? = null
    private var openFile: ModelFile? = null

    /** What there is to show. */
    var state: DemoState = DemoState()
        private set(value) {
            field = value
            onState(value)
        }

    /** Told of each new state. */
    var onState: (DemoState) -> Unit = {}

    /** Adds a model and chooses it, where nothing is chosen or [select] says so. */
    fun add(source: ModelSource, select: Boolean) {
        state = state.copy(isBusy = true, notice = null)
        work {
            val tab = tabOf(source)
            post {
                sources[source.key] = source
                val others = state.tabs.filter { it.key != source.key }
                state = state.copy(tabs = others + tab, isBusy = false)
                if (select || state.selected == null) select(source.key)
            }
        }
    }

    /** Chooses a tab; the model that was open is closed. */
    fun select(key: String) {
        val source = sources[key] ?: return
        state = state.copy(
            selected = key, fields = 0, outcome = null, problem = null, isBusy = true,
        )
        latest.set(null)
        work { open(source) }
    }

    /** Takes what stands in the fields of the chosen tab, and asks the model. */
    fun type(texts: List<String>) {
        val key = state.selected ?: return
        if (state.inputs[key] == texts) return
        state = state.copy(inputs = state.inputs + (key to texts))
        askAgain()
    }

    /** What was typed before the app was ended, by the tabs' keys. */
    fun restore(inputs: Map<String, List<String>>) {
        state = state.copy(inputs = inputs + state.inputs)
        askAgain()
    }

    /** Says what went wrong outside, such as with a file that was picked. */
    fun report(problem: String) {
        state = state.copy(notice = problem)
    }

    /** Closes the model while the app is out of sight and memory is short; [resume] opens it again. */
    fun release() {
        if (state.fields == 0) return
        latest.set(null)
        state = state.copy(fields = 0, outcome = null)
        work(::closeModel)
    }

    /** Opens what [release] closed. */
    fun resume() {
        if (state.fields == 0 && !state.isBusy) state.selected?.let(::select)
    }

    /** Ends the worker and closes the model, after the call that runs. */
    fun close() {
        isClosed = true
        onState = {}
        worker.execute(::closeModel)
        worker.shutdown()
    }

    private fun askAgain() {
        if (!state.isAskable) {
            latest.set(null)
            state = state.copy(outcome = null)
            return
        }
        // Only the newest texts are answered: a worker that is behind finds nothing left to do.
        if (latest.getAndSet(state.texts) == null) work(::answerLatest)
    }

    private fun answerLatest() {
        val texts = latest.getAndSet(null) ?: return
        val (model, file) = openModel to openFile
        val start = System.nanoTime()
        val shown = when {
            model != null -> ask(model, texts)
            file != null -> tokens(file, texts)
            else -> return
        }
        val latencyMs = if (model == null) null else (System.nanoTime() - start) / NANOS_PER_MS
        post {
            if (state.texts == texts) {
                state = state.copy(outcome = Outcome(texts, shown, latencyMs))
            }
        }
    }

    private fun open(source: ModelSource) {
        closeModel()
        val file = source.file()
        openFile = file
        var problem: String? = null
        val fields = try {
            source.model().also { openModel = it }.let(::fieldsOf)
        } catch (error: EngineException) {
            problem = error.message
            if (file.task in TASKS_OF_TWO) 2 else 1
        }
        post {
            if (state.selected == source.key) {
                state = state.copy(fields = fields, problem = problem, isBusy = false)
                askAgain()
            }
        }
    }

    private fun tabOf(source: ModelSource): Tab {
        val file = source.file()
        return Tab(source.key, file.name, file.task, file.recipe, file.sizeBytes)
    }

    private fun closeModel() {
        openModel?.close()
        openModel = null
        openFile = null
    }

    /** Does something on the worker's thread; what fails is told on the main one. */
    private fun work(action: () -> Unit) {
        if (isClosed) return
        worker.execute {
            try {
                action()
            } catch (error: IOException) {
                fail(error)
            } catch (error: RuntimeException) {
                fail(error)
            } catch (error: OutOfMemoryError) {
                fail(error)
            }
        }
    }

    private fun fail(error: Throwable) {
        val words = error.message ?: error.toString()
        post { state = state.copy(problem = words, isBusy = false) }
    }

    private companion object {
        const val NANOS_PER_MS = 1e6
        val TASKS_OF_TWO = setOf("pairs", "qa", "embeddings")
    }
}
