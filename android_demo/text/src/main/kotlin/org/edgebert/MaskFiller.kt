package org.edgebert

import kotlin.math.min

/** Tokens for each `[MASK]` of a text: masked language models. */
public class MaskFiller private constructor(file: ModelFile) : TextModel(file) {
    private val answered = file.decoding.intOr("masks", 8)
    private val shares = DoubleArray(tokenizer.vocabularySize)

    /**
     * Fills each `[MASK]` of a text on its own. A mask that the model does not read, since the text is
     * too long or has more masks than the file answers, stays as it is.
     *
     * @throws IllegalStateException the model was closed.
     */
    public fun fill(text: String): FilledText = locked {
        val places = masksIn(text)
        val choices = if (places.isEmpty()) emptyList() else choicesFor(text.replace(MASK, tokenizer.maskToken))
        val masks = places.mapIndexed { index, place ->
            FilledMask(place.start, place.end, choices.getOrElse(index) { emptyList() })
        }
        FilledText(filled(text, masks), masks)
    }

    /** The likeliest tokens of each mask that the model reads. */
    private fun choicesFor(text: String): List<List<TokenScore>> {
        tokenizer.splitPair(text, null, file.maxLength, first, second)
        val asked = min((0 until first.size).count { first.ids[it] == tokenizer.maskId }, answered)
        if (asked == 0) return emptyList()
        val output = outputOf(run(first, 0, first.size))
        return List(min(asked, output.size / shares.size)) { mask -> likeliest(output, mask * shares.size) }
    }

    private fun likeliest(output: FloatArray, at: Int): List<TokenScore> {
        Scores.logits(output, at, shares, areProbabilities = false)
        Scores.softmax(shares)
        return Scores.largest(shares, KEPT_TOKENS).map { TokenScore(tokenizer.token(it), shares[it]) }
    }

    /** Where somebody typed a mask, by either of its names. */
    private fun masksIn(text: String): List<Place> {
        val names = listOf(MASK, tokenizer.maskToken).distinct()
        val found = ArrayList<Place>()
        var place = 0
        while (true) {
            val (start, name) = text.findAnyOf(names, place) ?: return found
            place = start + name.length
            found.add(Place(start, place))
        }
    }

    private fun filled(text: String, masks: List<FilledMask>): String {
        var result = text
        for (mask in masks.asReversed()) {
            var token = (mask.tokens.firstOrNull() ?: continue).token
            var before = result.substring(0, mask.start)
            val space = tokenizer.space
            val joins = if (space.isEmpty()) {
                token.startsWith(CONTINUING) && token.length > CONTINUING.length
            } else {
                !token.startsWith(space)
            }
            if (joins) {
                token = if (space.isEmpty()) token.substring(CONTINUING.length) else token
                before = before.trimEnd { Characters.isSpace(it) }
            }
            result = before + token.removePrefix(space) + result.substring(mask.end)
        }
        return result
    }

    public companion object : ModelOpener<MaskFiller> {
        /** What somebody types, whatever the vocabulary calls it. */
        public const val MASK: String = "[MASK]"
        private const val CONTINUING = "##"
        private const val KEPT_TOKENS = 10
        internal val TASKS = listOf("masked-lm")

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): MaskFiller =
            opened(file, engines, TASKS, listOf(Scores.LOGITS)) { MaskFiller(file) }
    }
}
