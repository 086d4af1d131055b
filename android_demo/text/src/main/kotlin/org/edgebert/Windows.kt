package org.edgebert

/**
 * A part of a long text that the model reads in one call.
 *
 * @property from its first token; 0 is the text's first one, `[CLS]` not counted.
 * @property to the token after its last.
 * @property readTo the token up to which answers are taken from this window, not from the next one.
 */
internal class Window(val from: Int, val to: Int, val readTo: Int)

/** How long texts are laid out in windows. */
internal object Windows {
    /**
     * Windows of which each reads a share of the one before again. A token is read where it is furthest
     * from a cut: in the later of two windows if it is half of what they share behind its begin.
     */
    fun overlapping(tokens: Int, maxLength: Int, share: Double): List<Window> {
        val room = maxLength - 2
        if (tokens <= room) return listOf(Window(0, tokens, tokens))
        val overlap = (room * share).toInt().coerceIn(0, room - 1)
        val found = ArrayList<Window>()
        var from = 0
        while (from + room < tokens) {
            val next = from + room - overlap
            found.add(Window(from, from + room, next + overlap / 2))
            from = next
        }
        found.add(Window(from, tokens, tokens))
        return found
    }

    /** Windows of [room] tokens, of which each begins [stride] tokens behind the last, or less. */
    fun striding(tokens: Int, room: Int, stride: Int): List<Window> {
        val found = ArrayList<Window>()
        var from = 0
        while (from + room < tokens) {
            found.add(Window(from, from + room, tokens))
            from += minOf(stride, room)
        }
        found.add(Window(from, tokens, tokens))
        return found
    }
}
