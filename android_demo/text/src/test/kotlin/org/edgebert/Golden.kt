package org.edgebert

import java.io.File

/** The cases that Python, Kotlin and JavaScript share: tests/golden/README.md. */
internal object Golden {
    private val folder = File(System.getProperty("edgebert.golden"))

    /** A vocabulary of the cases, as a tokenizer. */
    fun tokenizer(vocabulary: Map<*, *>, hasSegments: Boolean = true): Tokenizer {
        val tokens = (vocabulary["tokens"] as List<*>).joinToString("") { "$it\n" }
        val settings = TokenizerSettings(Fields(vocabulary["settings"] as Map<*, *>, ""))
        return Tokenizer(Vocabulary.read(tokens.toByteArray())!!, settings, hasSegments)
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
