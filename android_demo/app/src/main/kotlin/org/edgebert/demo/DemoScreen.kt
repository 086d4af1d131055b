package org.edgebert.demo

import android.app.Activity
import android.graphics.Rect
import android.text.Editable
import android.text.Spanned
import android.text.TextWatcher
import android.text.format.Formatter
import android.text.style.BackgroundColorSpan
import android.view.LayoutInflater
import android.view.View
import android.widget.EditText
import android.widget.LinearLayout
import android.widget.ProgressBar
import android.widget.RadioButton
import android.widget.RadioGroup
import android.widget.TextView
import java.text.NumberFormat

/** Shows a [DemoState] in the views of an activity, and tells a session what is typed and chosen. */
internal class DemoScreen(private val activity: Activity, private val session: DemoSession) {
    private val tabs: RadioGroup = activity.findViewById(R.id.tabs)
    private val fields: List<EditText> =
        listOf(activity.findViewById(R.id.first_text), activity.findViewById(R.id.second_text))
    private val headline: TextView = activity.findViewById(R.id.headline)
    private val rows: LinearLayout = activity.findViewById(R.id.rows)
    private val latency: TextView = activity.findViewById(R.id.latency)
    private val facts: TextView = activity.findViewById(R.id.facts)
    private val problem: TextView = activity.findViewById(R.id.problem)

    private val numbers = NumberFormat.getNumberInstance().apply { maximumFractionDigits = 1 }
    private val scores = NumberFormat.getNumberInstance().apply {
        minimumFractionDigits = 3
        maximumFractionDigits = 3
    }
    private val percents = NumberFormat.getPercentInstance().apply { maximumFractionDigits = 1 }

    private var shownTabs: List<Tab> = emptyList()
    private var shownKey: String? = null
    private var isBinding = false

    init {
        for (field in fields) field.addTextChangedListener(Typing())
        tabs.setOnCheckedChangeListener { group, id ->
            val tab = group.findViewById<View>(id)?.tag as String?
            if (!isBinding && tab != null) session.select(tab)
        }
    }

    /** Shows a state. */
    fun show(state: DemoState) {
        isBinding = true
        showTabs(state)
        showFields(state)
        isBinding = false
        showOutcome(state)
        problem.text = listOfNotNull(state.notice, state.problem).joinToString("\n\n")
        problem.visibility = if (problem.text.isEmpty()) View.GONE else View.VISIBLE
    }

    private fun showTabs(state: DemoState) {
        if (state.tabs != shownTabs) {
            tabs.removeAllViews()
            for (tab in state.tabs) tabs.addView(tabView(tab, state.tabs))
            shownTabs = state.tabs
        }
        for (place in 0 until tabs.childCount) {
            val view = tabs.getChildAt(place)
            if (view.tag == state.selected && tabs.checkedRadioButtonId != view.id) {
                tabs.check(view.id)
                view.post { view.requestRectangleOnScreen(Rect(0, 0, view.width, view.height)) }
            }
        }
    }

    private fun tabView(tab: Tab, all: List<Tab>): View {
        val view = inflate(R.layout.tab, tabs) as RadioButton
        val task = TASK_NAMES[tab.task]?.let(activity::getString) ?: tab.task
        val isAlone = all.count { it.task == tab.task } == 1
        view.id = View.generateViewId()
        view.tag = tab.key
        view.text = if (isAlone) task else activity.getString(
            R.string.marked, task, tab.name.removeSuffix(".tflite"),
        )
        return view
    }

    private fun showFields(state: DemoState) {
        val hints = hintsOf(state.tab?.task)
        for ((place, field) in fields.withIndex()) {
            field.visibility = if (place < state.fields) View.VISIBLE else View.GONE
            field.setHint(hints[place])
            val text = state.texts.getOrElse(place) { "" }
            // What is typed right now is newer than any state.
            val isOther = shownKey != state.selected || !field.hasFocus()
            if (isOther && field.text.toString() != text && state.fields > 0) field.setText(text)
        }
        if (state.fields > 0) shownKey = state.selected
    }

    private fun hintsOf(task: String?): List<Int> = when (task) {
        "qa" -> listOf(R.string.hint_question, R.string.hint_context)
        "masked-lm" -> listOf(R.string.hint_masked, R.string.hint_second_text)
        else -> listOf(R.string.hint_text, R.string.hint_second_text)
    }

    private fun showOutcome(state: DemoState) {
        val outcome = state.outcome
        headline.text = when {
            outcome != null -> headlineOf(outcome.shown)
            state.isBusy -> activity.getString(R.string.opening)
            state.tabs.isEmpty() -> activity.getString(R.string.no_models)
            else -> ""
        }
        headline.visibility = if (headline.text.isEmpty()) View.GONE else View.VISIBLE
        showRows(outcome?.shown)
        showMarks(outcome)
        latency.text =
            outcome?.latencyMs?.let { activity.getString(R.string.latency, numbers.format(it)) }
        facts.text = state.tab?.let {
            val size = Formatter.formatShortFileSize(activity, it.sizeBytes.toLong())
            activity.getString(R.string.model_facts, it.name, size, it.recipe)
        }
    }

    private fun headlineOf(shown: Shown): String = when (shown) {
        is Shown.Labels -> shown.shares.filter { it.isChosen }.joinToString { it.label }
            .ifEmpty { activity.getString(R.string.no_label) }
        is Shown.Score -> scores.format(shown.score)
        is Shown.Similarity ->
            activity.getString(R.string.similarity, scores.format(shown.cosine))
        is Shown.Marks -> if (shown.marks.isEmpty()) activity.getString(R.string.no_entities) else ""
        is Shown.Spans -> shown.shares.first().label
            .ifEmpty { activity.getString(R.string.no_answer) }
        is Shown.Filled -> shown.text
        is Shown.Tokens -> activity.getString(R.string.tokens, shown.tokens.size)
    }

    private fun rowsOf(shown: Shown?): List<Share> = when (shown) {
        is Shown.Labels -> shown.shares
        is Shown.Spans -> shown.shares.take(MOST_SPANS).map { share ->
            share.copy(label = share.label.ifEmpty { activity.getString(R.string.no_answer) })
        }
        is Shown.Marks -> shown.marks.zip(shown.scores) { mark, score ->
            Share(activity.getString(R.string.marked, mark.label, markedText(mark)), score, true)
        }
        is Shown.Filled -> shown.choices.flatMap { it.take(CHOICES_OF_MASK) }
        is Shown.Tokens -> shown.tokens.map { Share(it, 0.0, false) }
        is Shown.Score, is Shown.Similarity, null -> emptyList()
    }

    private fun markedText(mark: Mark): String {
        val text = fields[mark.field].text
        return if (mark.end <= text.length) text.substring(mark.start, mark.end) else ""
    }

    private fun showRows(shown: Shown?) {
        val shares = rowsOf(shown).take(MOST_ROWS)
        while (rows.childCount > shares.size) rows.removeViewAt(rows.childCount - 1)
        while (rows.childCount < shares.size) rows.addView(inflate(R.layout.row, rows))
        for ((place, share) in shares.withIndex()) {
            val row = rows.getChildAt(place)
            val percent = percents.format(share.share)
            val hasShare = shown !is Shown.Tokens
            row.findViewById<TextView>(R.id.label).text = share.label
            row.findViewById<TextView>(R.id.share).text = if (hasShare) percent else ""
            val bar = row.findViewById<ProgressBar>(R.id.bar)
            bar.progress = (share.share * bar.max).toInt()
            bar.visibility = if (hasShare) View.VISIBLE else View.GONE
            row.contentDescription =
                if (hasShare) activity.getString(R.string.share, share.label, percent) else share.label
        }
    }

    private fun showMarks(outcome: Outcome?) {
        val marks = when (val shown = outcome?.shown) {
            is Shown.Marks -> shown.marks
            is Shown.Spans -> shown.marks
            else -> emptyList()
        }
        for ((place, field) in fields.withIndex()) {
            val text = field.text
            text.getSpans(0, text.length, MarkSpan::class.java).forEach(text::removeSpan)
            // Of a text that was typed further, the next answer is on its way.
            if (outcome?.texts?.getOrNull(place) != text.toString()) continue
            for (mark in marks.filter { it.field == place }) {
                text.setSpan(
                    MarkSpan(colorOf(mark.label)), mark.start, mark.end,
                    Spanned.SPAN_EXCLUSIVE_EXCLUSIVE,
                )
            }
        }
    }

    private fun colorOf(label: String): Int {
        val place = Math.floorMod(label.hashCode(), MARK_COLORS.size)
        return activity.getColor(MARK_COLORS[place])
    }

    private fun inflate(layout: Int, parent: android.view.ViewGroup): View =
        LayoutInflater.from(activity).inflate(layout, parent, false)

    private class MarkSpan(color: Int) : BackgroundColorSpan(color)

    private inner class Typing : TextWatcher {
        override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

        override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit

        override fun afterTextChanged(text: Editable) {
            if (isBinding) return
            session.type(fields.take(session.state.fields).map { it.text.toString() })
        }
    }

    private companion object {
        const val MOST_ROWS = 20
        const val CHOICES_OF_MASK = 5
        const val MOST_SPANS = 5
        val MARK_COLORS = intArrayOf(
            R.color.mark_1, R.color.mark_2, R.color.mark_3,
            R.color.mark_4, R.color.mark_5, R.color.mark_6,
        )
        val TASK_NAMES = mapOf(
            "classification" to R.string.task_classification,
            "pairs" to R.string.task_pairs,
            "multi-label" to R.string.task_multi_label,
            "regression" to R.string.task_regression,
            "ner" to R.string.task_ner,
            "pos" to R.string.task_pos,
            "qa" to R.string.task_qa,
            "embeddings" to R.string.task_embeddings,
            "masked-lm" to R.string.task_masked_lm,
        )
    }
}
