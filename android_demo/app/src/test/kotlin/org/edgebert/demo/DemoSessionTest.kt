package org.edgebert.demo

import java.io.IOException
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit
import org.edgebert.DesktopEngine
import org.edgebert.EngineException
import org.edgebert.EngineFactory
import org.edgebert.ModelFile
import org.edgebert.TextModel
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test

/** The session without Android: this thread is the main one. */
class DemoSessionTest {
    private val posted = LinkedBlockingQueue<() -> Unit>()
    private val session = DemoSession { posted.put(it) }

    private class TaskSource(
        private val task: String,
        private val engines: EngineFactory = DesktopEngine.factory(),
    ) : ModelSource {
        override val key get() = task

        override fun file() = ModelFile.open(modelOf(task))

        override fun model() = TextModel.open(file(), engines)
    }

    private fun runUntil(holds: () -> Boolean) {
        while (!holds()) {
            val action = posted.poll(60, TimeUnit.SECONDS)
            assertNotNull("nothing more happened", action)
            action!!()
        }
    }

    @Test
    fun `the newest text is answered`() {
        session.add(TaskSource("classification"), select = true)
        runUntil { session.state.fields == 1 }
        for (count in 1..200) session.type(listOf("a film ".repeat(count)))
        val newest = session.state.texts
        runUntil { session.state.outcome != null }
        assertEquals(newest, session.state.outcome?.texts)
        session.close()
    }

    @Test
    fun `texts stay with their tab, and blank ones have no answer`() {
        session.add(TaskSource("classification"), select = true)
        session.add(TaskSource("pairs"), select = false)
        runUntil { session.state.tabs.size == 2 && session.state.fields == 1 }
        session.type(listOf("a film"))
        runUntil { session.state.outcome != null }
        session.select("pairs")
        runUntil { session.state.fields == 2 }
        assertEquals(listOf("", ""), session.state.texts)
        session.type(listOf("a film", " "))
        assertNull(session.state.outcome)
        session.select("classification")
        runUntil { session.state.outcome != null }
        assertEquals(listOf("a film"), session.state.texts)
        session.close()
    }

    @Test
    fun `a model that can't be run shows tokens`() {
        session.add(
            TaskSource("qa") { throw EngineException("no runtime") }, select = true,
        )
        runUntil { session.state.fields == 2 }
        assertEquals("no runtime", session.state.problem)
        session.type(listOf("what", "the film"))
        runUntil { session.state.outcome != null }
        assertTrue(session.state.outcome?.shown is Shown.Tokens)
        assertNull(session.state.outcome?.latencyMs)
        session.close()
    }

    @Test
    fun `a source that fails is told, and the session goes on`() {
        session.add(
            object : ModelSource {
                override val key = "broken"

                override fun file() = throw IOException("gone")

                override fun model() = throw IOException("gone")
            },
            select = true,
        )
        runUntil { session.state.problem == "gone" }
        session.add(TaskSource("ner"), select = false)
        runUntil { session.state.fields == 1 }
        session.close()
    }

    @Test
    fun `a released model is opened again`() {
        session.add(TaskSource("ner"), select = true)
        runUntil { session.state.fields == 1 }
        session.type(listOf("a film"))
        runUntil { session.state.outcome != null }
        session.release()
        assertEquals(0, session.state.fields)
        session.resume()
        runUntil { session.state.outcome != null }
        session.close()
    }
}
