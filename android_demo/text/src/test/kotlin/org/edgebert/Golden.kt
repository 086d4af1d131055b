package org.edgebert

import java.io.File
import java.util.Base64

/** The cases that Python, Kotlin and JavaScript share: tests/golden/README.md. */
internal object Golden {
    private val folder = File(System.getProperty("edgebert.golden"))

    /** A vocabulary of the cases, as a tokenizer. */
    fun tokenizer(vocabulary: Map<*, *>, hasSegments: Boolean = true): Tokenizer {
        val tokens = (vocabulary["tokens"] as List<*>).joinToString("") { "$it\n" }
        val files = files(vocabulary)
        val pieces = files["piece_scores.bin"]?.let { UnigramPieces.read(it, files["charsmap.bin"]) }
        val settings = TokenizerSettings(Fields(vocabulary["settings"] as Map<*, *>, ""))
        return Tokenizer(Vocabulary.read(tokens.toByteArray())!!, settings, hasSegments, pieces)
    }

    /** The files of a Unigram vocabulary beside its tokens; none of others. */
    fun files(vocabulary: Map<*, *>): Map<String, ByteArray> {
        val scores = vocabulary["scores"] as List<*>? ?: return emptyMap()
        val numbers = DoubleArray(scores.size) { (scores[it] as Number).toDouble() }
        val charsmap = Base64.getDecoder().decode(vocabulary["charsmap"] as String)
        return mapOf("piece_scores.bin" to ModelBytes.scores(*numbers), "charsmap.bin" to charsmap)
            .filterValues { it.isNotEmpty() }
    }

    /** Start and end of tokens in UTF-16 code units, out of code points. The last token ends each text. */
    fun inUnits(ids: List<Int>, offsets: List<List<Int>>, text: String, pair: String?): List<List<Int>> {
        val units = listOf(unitsOf(text), unitsOf(pair.orEmpty()))
        var isSecond = 0
        return offsets.mapIndexed { index, (start, end) ->
            if (index > 0 && end == 0 && ids[index] == ids.last()) isSecond = 1
            if (end == 0) listOf(0, 0) else listOf(units[isSecond][start], units[isSecond][end])
        }
    }

    fun read(name: String): Map<*, *> = Json.read(File(folder, name).readText()) as Map<*, *>

    /** The folder of real data sets; null where there is none. */
    fun data(): File? = sequenceOf(System.getenv("EDGEBERT_DATA"), System.getProperty("edgebert.data"))
        .filterNotNull().map(::File).firstOrNull(File::isDirectory)

    fun objects(value: Any?): List<Map<*, *>> = (value as List<*>).map { it as Map<*, *> }

    fun ints(value: Any?): List<Int> = (value as List<*>).map { (it as Long).toInt() }

    /** Where each code point of a text begins in UTF-16 code units, and where the text ends. */
    fun unitsOf(text: String): IntArray {
        val found = ArrayList<Int>()
        var place = 0
        while (place < text.length) {
            found.add(place)
            place += Character.charCount(text.codePointAt(place))
        }
        found.add(text.length)
        return found.toIntArray()
    }
}
