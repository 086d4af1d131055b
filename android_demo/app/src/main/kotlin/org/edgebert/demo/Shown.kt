package org.edgebert.demo

import org.edgebert.MaskFiller
import org.edgebert.ModelFile
import org.edgebert.QuestionAnswerer
import org.edgebert.TextClassifier
import org.edgebert.TextEmbedder
import org.edgebert.TextModel
import org.edgebert.TextScorer
import org.edgebert.TokenTagger

/** A share of 1 with what it is of. */
internal data class Share(val label: String, val share: Double, val isChosen: Boolean)

/** A part of an input's text with what it is. */
internal data class Mark(val field: Int, val start: Int, val end: Int, val label: String)

/** What the screen shows of an answer. */
internal sealed interface Shown {
    /** Labels with their probabilities, the likeliest first. */
    data class Labels(val shares: List<Share>) : Shown

    /** A number. */
    data class Score(val score: Double) : Shown

    /** How near two texts are, from -1 to 1. */
    data class Similarity(val cosine: Double) : Shown

    /** Entities or tagged words, marked in the text. */
    data class Marks(val marks: List<Mark>, val scores: List<Double>) : Shown

    /** Parts of the context, the best one first, which is marked; none where there is no answer. */
    data class Spans(val marks: List<Mark>, val shares: List<Share>) : Shown

    /** The text with its masks filled, and the choices of each mask. */
    data class Filled(val text: String, val choices: List<List<Share>>) : Shown

    /** The tokens of the text: all that can be said without a runtime. */
    data class Tokens(val tokens: List<String>) : Shown
}

/** How many texts a model is asked with. */
internal fun fieldsOf(model: TextModel): Int = when (model) {
    is TextClassifier -> if (model.needsPair) 2 else 1
    is TextScorer -> if (model.needsPair) 2 else 1
    is QuestionAnswerer, is TextEmbedder -> 2
    is TokenTagger, is MaskFiller -> 1
}

/** Asks a model. Takes as long as the model does: not on the main thread. */
internal fun ask(model: TextModel, texts: List<String>): Shown = when (model) {
    is TextClassifier -> labels(model, texts)
    is TextScorer -> Shown.Score(model.score(texts[0], texts.getOrNull(1)))
    is TokenTagger -> marks(model, texts[0])
    is QuestionAnswerer -> spans(model, texts[0], texts[1])
    is TextEmbedder -> Shown.Similarity(model.similarity(texts[0], texts[1]))
    is MaskFiller -> filled(model, texts[0])
}

/** The tokens of texts, of a file that no runtime takes. */
internal fun tokens(file: ModelFile, texts: List<String>): Shown {
    val encoding = file.tokenizer.encode(texts[0], texts.getOrNull(1), file.maxLength)
    return Shown.Tokens(encoding.tokenIds.map(file.tokenizer::token))
}

private fun labels(model: TextClassifier, texts: List<String>): Shown {
    val said = model.classify(texts[0], texts.getOrNull(1))
    val chosen = said.labels.mapTo(HashSet()) { it.label }
    return Shown.Labels(
        said.probabilities.map { Share(it.label, it.score, it.label in chosen) }
            .sortedByDescending { it.share },
    )
}

private fun marks(model: TokenTagger, text: String): Shown {
    val said = model.tag(text)
    if (model.findsEntities) {
        val marks = said.entities.map { Mark(0, it.start, it.end, it.type) }
        return Shown.Marks(marks, said.entities.map { it.score })
    }
    val words = said.words.filter { it.tag != null }
    val marks = words.map { Mark(0, it.start, it.end, it.tag.orEmpty()) }
    return Shown.Marks(marks, words.map { it.score })
}

private fun spans(model: QuestionAnswerer, question: String, context: String): Shown {
    val answers = model.answer(question, context)
    val best = answers.first()
    val marks = if (best.isNone) emptyList() else listOf(Mark(1, best.start, best.end, ""))
    return Shown.Spans(marks, answers.map { Share(it.text, it.score, it === best) })
}

private fun filled(model: MaskFiller, text: String): Shown {
    val said = model.fill(text)
    return Shown.Filled(
        said.filled,
        said.masks.map { mask ->
            mask.tokens.mapIndexed { place, it -> Share(it.token, it.probability, place == 0) }
        },
    )
}
