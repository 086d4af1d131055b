package org.edgebert

import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.ln1p
import kotlin.math.max

/** Numbers of a head as 64-bit logits, and shares of them. */
internal object Scores {
    const val PROBABILITIES = "probabilities"
    const val LOGITS = "logits"
    private const val SMALLEST_PROBABILITY = 1e-38

    /**
     * Writes the logits of a row of a file's output.
     *
     * @param row of the output, from [at].
     * @param logits as many as are wanted.
     * @param areProbabilities whether the row has these.
     * @param areIndependent whether each is decided for itself.
     */
    fun logits(
        row: FloatArray,
        at: Int,
        logits: DoubleArray,
        areProbabilities: Boolean,
        areIndependent: Boolean = false,
    ) {
        for (index in logits.indices) {
            val value = row[at + index].toDouble()
            logits[index] = if (!areProbabilities) {
                value
            } else {
                val odds = ln(max(value, SMALLEST_PROBABILITY))
                if (areIndependent) odds - ln(max(1 - value, SMALLEST_PROBABILITY)) else odds
            }
        }
    }

    /** Turns logits into probabilities that sum to 1. */
    fun softmax(logits: DoubleArray) {
        val largest = logits.max()
        var sum = 0.0
        for (index in logits.indices) sum += exp(logits[index] - largest)
        val logSum = ln(sum)
        for (index in logits.indices) logits[index] = exp(logits[index] - largest - logSum)
    }

    /** Turns logits into probabilities that are each of its own. */
    fun sigmoid(logits: DoubleArray) {
        for (index in logits.indices) {
            val logit = logits[index]
            // exp(-log(1 + exp(-x))), without an overflow
            val log = if (logit < 0) -logit + ln1p(exp(logit)) else ln1p(exp(-logit))
            logits[index] = exp(-log)
        }
    }

    /** The place of the largest number, the first of equals. */
    fun best(numbers: DoubleArray): Int {
        var best = 0
        for (index in numbers.indices) if (numbers[index] > numbers[best]) best = index
        return best
    }

    /** The places of the largest numbers, the largest first, equals in their order. */
    fun largest(numbers: DoubleArray, count: Int): IntArray {
        // A heap of the best so far, the worst of them on top.
        val worstFirst = Comparator<Int> { a, b ->
            val byNumber = numbers[a].compareTo(numbers[b])
            if (byNumber != 0) byNumber else b.compareTo(a)
        }
        val kept = java.util.PriorityQueue(maxOf(1, count), worstFirst)
        for (index in numbers.indices) {
            if (kept.size < count) {
                kept.add(index)
            } else if (count > 0 && numbers[index] > numbers[kept.peek()]) {
                kept.poll()
                kept.add(index)
            }
        }
        val found = IntArray(kept.size)
        for (place in found.indices.reversed()) found[place] = kept.poll()
        return found
    }
}
