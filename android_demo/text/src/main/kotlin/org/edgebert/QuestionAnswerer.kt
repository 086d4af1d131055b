package org.edgebert

import kotlin.math.max
import kotlin.math.min

/** The part of a context that answers a question: question answering models. */
public class QuestionAnswerer private constructor(file: ModelFile) : TextModel(file) {
    private val stride = max(1, file.decoding.intOr("stride", 128))
    private val longestAnswer = file.decoding.intOr("max_answer_tokens", 30).coerceIn(1, file.maxLength)
    private val framing = 2 + tokenizer.pairSeparators
    private val longestQuestion =
        min(file.decoding.intOr("max_question_tokens", 64), (file.maxLength - framing) / 2)
    private val count = file.decoding.intOr("n_best", 20)
    private val nullThreshold = file.decoding.doubleOrNull("null_threshold")

    init {
        if (file.maxLength < framing + FEWEST_TOKENS || count < 1) {
            throw ModelException(
                "expected a max_length of at least ${framing + FEWEST_TOKENS}, for a question with its context, and an n_best of " +
                    "at least 1. Received: ${file.maxLength} and $count",
            )
        }
    }

    /**
     * Answers a question by a context of any length; a long one is read in windows.
     *
     * @return the likeliest answers, the best one first; at least one. Where the context may have no
     *   answer, that is one of them ([Answer.isNone]).
     * @throws IllegalStateException the model was closed.
     */
    public fun answer(question: String, context: String): List<Answer> = locked {
        tokenizer.split(question, longestQuestion, first)
        first.cut(min(first.size, longestQuestion))
        tokenizer.split(context, Int.MAX_VALUE, second)
        val room = file.maxLength - first.size - framing
        val found = HashMap<Place, Double>()
        var nullScore = Double.POSITIVE_INFINITY
        for (window in Windows.striding(second.size, room, stride)) {
            val outputs = run(first, 0, first.size, second, window.from, window.to)
            val starts = outputs.getValue(START)
            val ends = outputs.getValue(END)
            nullScore = min(nullScore, starts[0].toDouble() + ends[0])
            val tokens = window.to - window.from
            val best = BestSpans(min(count, tokens * longestAnswer), longestAnswer)
            for (token in 0 until tokens) { // no answer ends in a space
                val place = window.from + token
                if (second.starts[place] == second.ends[place]) ends[first.size + framing - 1 + token] = NOWHERE
            }
            best.read(starts, ends, first.size + framing - 1, tokens)
            for (rank in 0 until best.size) {
                val start = second.starts[window.from + best.firstOf(rank)]
                val place = Place(start, second.ends[window.from + best.lastOf(rank)])
                found[place] = max(best.scoreOf(rank), found[place] ?: Double.NEGATIVE_INFINITY)
            }
        }
        listed(context, found, nullScore)
    }

    private fun listed(context: String, found: Map<Place, Double>, nullScore: Double): List<Answer> {
        val spans = found.map { Span(it.key, it.value) }.sorted().take(count).toMutableList()
        val none = Span(Place(0, 0), nullScore)
        if (spans.isEmpty() || (nullThreshold != null && nullScore - spans[0].score > nullThreshold)) {
            spans.add(0, none)
        } else if (nullThreshold != null) {
            spans.add(max(1, spans.count { it.score >= nullScore }), none)
        }
        val shares = DoubleArray(spans.size) { spans[it].score }
        Scores.softmax(shares)
        return spans.mapIndexed { rank, span ->
            val place = span.place
            Answer(context.substring(place.start, place.end), place.start, place.end, shares[rank])
        }
    }

    /** The best one first, of equals the one that starts, then ends first. */
    private class Span(val place: Place, val score: Double) : Comparable<Span> {
        override fun compareTo(other: Span): Int = when {
            score != other.score -> other.score.compareTo(score)
            place.start != other.place.start -> place.start.compareTo(other.place.start)
            else -> place.end.compareTo(other.place.end)
        }
    }

    public companion object : ModelOpener<QuestionAnswerer> {
        private const val START = "start_logits"
        private const val END = "end_logits"

        /** One of the question and one of the context. */
        private const val FEWEST_TOKENS = 2
        private const val NOWHERE = Float.NEGATIVE_INFINITY
        internal val TASKS = listOf("qa")

        /**
         * @throws ModelException the file is of another task.
         * @throws EngineException the runtime does not take the file.
         */
        @JvmStatic
        @Throws(ModelException::class)
        override fun open(file: ModelFile, engines: EngineFactory): QuestionAnswerer =
            opened(file, engines, TASKS, listOf(Scores.LOGITS)) { QuestionAnswerer(file) }
    }
}

/** A part of a text: start and end in UTF-16 code units. */
internal data class Place(val start: Int, val end: Int)

/** The best spans of one window: a span's score is its start's logit and its end's. */
internal class BestSpans(private val count: Int, private val longest: Int) {
    private val firsts = IntArray(count)
    private val lasts = IntArray(count)
    private val scores = DoubleArray(count)

    /** Spans that there are. */
    var size = 0
        private set

    fun firstOf(rank: Int): Int = firsts[rank]

    fun lastOf(rank: Int): Int = lasts[rank]

    fun scoreOf(rank: Int): Double = scores[rank]

    /** Reads the logits of the [tokens] of a context, the first of which is at [at]. */
    fun read(starts: FloatArray, ends: FloatArray, at: Int, tokens: Int) {
        for (first in 0 until tokens) {
            val start = starts[at + first].toDouble()
            for (last in first until min(tokens, first + longest)) {
                val score = start + ends[at + last]
                if (size < count || score > scores[size - 1]) insert(first, last, score)
            }
        }
    }

    /** Puts a span behind those that are at least as good. */
    private fun insert(first: Int, last: Int, score: Double) {
        if (score.isNaN() || score.isInfinite()) return
        var rank = if (size < count) size++ else size - 1
        while (rank > 0 && scores[rank - 1] < score) {
            firsts[rank] = firsts[rank - 1]
            lasts[rank] = lasts[rank - 1]
            scores[rank] = scores[rank - 1]
            rank--
        }
        firsts[rank] = first
        lasts[rank] = last
        scores[rank] = score
    }
}
