package org.edgebert

import java.io.File
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** What is said where there is no library; with one, tests/android/test_desktop_engine.py asks it. */
class DesktopEngineTest {
    @Test
    fun `a library that is not there, or is none`(@TempDir folder: File) {
        val text = File(folder, "libLiteRt.so").apply { writeText("no library") }
        for (library in listOf(File(folder, "none.so"), text)) {
            val error = assertThrows(EngineException::class.java) { DesktopEngine.factory(library) }
            assertTrue("can't be loaded from" in error.message!! && "ai-edge-litert" in error.message!!)
        }
    }

    @Test
    fun `fewer than one thread`() {
        assertThrows(IllegalArgumentException::class.java) { DesktopEngine.factory(File("any"), 0) }
    }
}
