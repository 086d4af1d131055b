package org.edgebert

/** Tokens of one text, with their places in UTF-16 code units. It grows, and is used again. */
internal class TokenList {
    var ids = IntArray(FIRST_SIZE)
        private set
    var starts = IntArray(FIRST_SIZE)
        private set
    var ends = IntArray(FIRST_SIZE)
        private set
    var size = 0
        private set

    fun add(id: Int, start: Int, end: Int) {
        if (size == ids.size) grow()
        ids[size] = id
        starts[size] = start
        ends[size] = end
        size++
    }

    fun cut(length: Int) {
        size = length
    }

    /** The places of some tokens. */
    inline fun placesWhere(isOne: (Int) -> Boolean): IntArray {
        val found = IntArray(size)
        var count = 0
        for (place in 0 until size) if (isOne(place)) found[count++] = place
        return found.copyOf(count)
    }

    /** Takes all tokens out; what a very long text needed is given back. */
    fun clear() {
        size = 0
        if (ids.size > KEPT_SIZE) {
            ids = IntArray(FIRST_SIZE)
            starts = IntArray(FIRST_SIZE)
            ends = IntArray(FIRST_SIZE)
        }
    }

    private fun grow() {
        ids = ids.copyOf(2 * size)
        starts = starts.copyOf(2 * size)
        ends = ends.copyOf(2 * size)
    }

    private companion object {
        const val FIRST_SIZE = 64
        const val KEPT_SIZE = 1 shl 14
    }
}

/** Code points and where each comes from, in UTF-16 code units. It grows, and is used again. */
internal class CodeList {
    var codes = IntArray(FIRST_SIZE)
        private set
    var places = IntArray(FIRST_SIZE)
        private set
    var size = 0
        private set

    /** Empties the list and makes room for at least so many code points. */
    fun clear(room: Int) {
        size = 0
        if (codes.size < room || codes.size > maxOf(KEPT_SIZE, 4 * room)) {
            codes = IntArray(maxOf(FIRST_SIZE, room))
            places = IntArray(codes.size)
        }
    }

    fun add(code: Int, place: Int) {
        if (size == codes.size) {
            codes = codes.copyOf(2 * size)
            places = places.copyOf(2 * size)
        }
        codes[size] = code
        places[size] = place
        size++
    }

    private companion object {
        const val FIRST_SIZE = 512
        const val KEPT_SIZE = 1 shl 14
    }
}
