package org.edgebert.demo

/** A model that can be chosen: a tab. [key] is its place, unique among the tabs. */
internal data class Tab(
    val key: String,
    val name: String,
    val task: String,
    val recipe: String,
    val sizeBytes: Int,
)

/**
 * An answer, or why there is none.
 *
 * @property texts what it answers.
 * @property latencyMs from text to answer; null where the runtime did not run.
 */
internal data class Outcome(val texts: List<String>, val shown: Shown, val latencyMs: Double?)

/**
 * Everything that the screen shows; never changed, only replaced.
 *
 * @property fields how many texts the chosen model is asked with; 0 until it is open.
 * @property inputs the texts of each tab, by its key.
 * @property outcome of the chosen model.
 * @property problem what is wrong with the chosen model, for the user; null where nothing is.
 * @property notice what went wrong elsewhere, such as with a file that was picked.
 */
internal data class DemoState(
    val tabs: List<Tab> = emptyList(),
    val selected: String? = null,
    val fields: Int = 0,
    val inputs: Map<String, List<String>> = emptyMap(),
    val outcome: Outcome? = null,
    val problem: String? = null,
    val notice: String? = null,
    val isBusy: Boolean = false,
) {
    /** The chosen tab. */
    val tab: Tab? get() = tabs.firstOrNull { it.key == selected }

    /** The texts of the chosen tab, as many as it has fields. */
    val texts: List<String>
        get() = inputs[selected].orEmpty().let { own -> List(fields) { own.getOrElse(it) { "" } } }

    /** Whether the model can be asked. */
    val isAskable: Boolean get() = fields > 0 && texts.all { it.isNotBlank() }
}
