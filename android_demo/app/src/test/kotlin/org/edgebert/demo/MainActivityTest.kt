package org.edgebert.demo

import android.content.Intent
import android.net.Uri
import android.text.style.BackgroundColorSpan
import android.view.View
import android.view.ViewGroup
import android.widget.EditText
import android.widget.ProgressBar
import android.widget.RadioButton
import android.widget.TextView
import com.google.ai.edge.litert.StandInRuntime
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** The whole app on Android's own code, with real models on LiteRT of this machine. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [23, 34], qualifiers = "w411dp-h731dp-xhdpi")
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MainActivityTest {
    @get:Rule
    val runtime = RealRuntime()

    private val level get() = android.os.Build.VERSION.SDK_INT

    private fun start(intent: Intent? = null): ActivityController<MainActivity> {
        val made = Robolectric.buildActivity(MainActivity::class.java, intent).setup()
        waitUntil("opening") { made.get().shown(R.id.first_text) && tabs(made.get()).size == 9 }
        return made
    }

    private fun MainActivity.shown(id: Int) = findViewById<View>(id).visibility == View.VISIBLE

    private fun MainActivity.words(id: Int) = findViewById<TextView>(id).text.toString()

    private fun tabs(activity: MainActivity): List<RadioButton> =
        activity.findViewById<ViewGroup>(R.id.tabs).let { group ->
            List(group.childCount) { group.getChildAt(it) as RadioButton }
        }

    private fun choose(activity: MainActivity, task: Int) {
        tabs(activity).single { it.text == activity.getString(task) }.performClick()
        waitUntil("opening") { activity.shown(R.id.first_text) && activity.words(R.id.headline) == "" }
    }

    private fun type(activity: MainActivity, field: Int, text: String) {
        val view = activity.findViewById<EditText>(field)
        view.requestFocus()
        view.setText(text)
    }

    private fun rows(activity: MainActivity): List<String> =
        activity.findViewById<ViewGroup>(R.id.rows).let { group ->
            List(group.childCount) { group.getChildAt(it).contentDescription.toString() }
        }

    private fun awaitAnswer(activity: MainActivity) =
        waitUntil("an answer") { activity.words(R.id.latency).isNotEmpty() }

    @Test
    fun `an answer comes as one types, stays through rotation, and ends with the app`() {
        val controller = start()
        choose(controller.get(), R.string.task_classification)
        type(controller.get(), R.id.first_text, "turn the lights on today")
        awaitAnswer(controller.get())
        val label = controller.get().words(R.id.headline)
        assertTrue(label, label in listOf("negative", "neutral", "positive"))
        assertEquals(3, rows(controller.get()).size)
        assertTrue(screenshot(controller.get(), "label-$level") >= MOST_PLAIN)

        RuntimeEnvironment.setQualifiers("+land")
        controller.configurationChange()
        val turned = controller.get()
        waitUntil("the answer after the rotation") { turned.words(R.id.headline) == label }
        assertEquals("turn the lights on today", turned.words(R.id.first_text))
        val bars = turned.findViewById<ViewGroup>(R.id.rows).let { group ->
            List(group.childCount) { group.getChildAt(it).findViewById<ProgressBar>(R.id.bar).progress }
        }
        assertEquals(bars.sortedDescending().distinct(), bars)
        assertTrue(screenshot(turned, "label-land-$level") >= MOST_PLAIN)

        controller.pause().stop().destroy()
    }

    @Test
    fun `entities are marked in the text`() {
        val activity = start().get()
        choose(activity, R.string.task_ner)
        type(activity, R.id.first_text, "it is a great film today")
        awaitAnswer(activity)
        val text = activity.findViewById<EditText>(R.id.first_text).text
        val spans = text.getSpans(0, text.length, BackgroundColorSpan::class.java)
        assertEquals(rows(activity).size, spans.size)
        for (span in spans) {
            val marked = text.substring(text.getSpanStart(span), text.getSpanEnd(span))
            assertTrue(marked, rows(activity).any { ": $marked," in it })
        }
        screenshot(activity, "entities-$level")
    }

    @Test
    fun `every task answers, and what TalkBack reads is there`() {
        val activity = start().get()
        for (tab in tabs(activity).map { it.text.toString() }) {
            tabs(activity).single { it.text == tab }.performClick()
            waitUntil("opening $tab") { activity.shown(R.id.first_text) }
            type(activity, R.id.first_text, "the music is on [MASK]")
            if (activity.shown(R.id.second_text)) {
                type(activity, R.id.second_text, "The movie is on today. The music is very nice.")
            }
            awaitAnswer(activity)
            assertTrue(tab, activity.words(R.id.headline).isNotEmpty() || rows(activity).isNotEmpty())
            assertTrue(tab, activity.findViewById<EditText>(R.id.first_text).hint.isNotEmpty())
        }
    }

    @Test
    @Config(qualifiers = "w411dp-h731dp-night-xhdpi")
    fun `in the dark`() {
        val activity = start().get()
        choose(activity, R.string.task_qa)
        type(activity, R.id.first_text, "what is on today")
        type(activity, R.id.second_text, "The movie is on today. The music is very nice.")
        awaitAnswer(activity)
        screenshot(activity, "question-night-$level")
    }

    @Test
    @Config(qualifiers = "ar-ldrtl-w411dp-h731dp-xhdpi", fontScale = 2f)
    fun `from right to left, with large letters`() {
        val activity = start().get()
        assertEquals(View.LAYOUT_DIRECTION_RTL, activity.window.decorView.layoutDirection)
        choose(activity, R.string.task_multi_label)
        type(activity, R.id.first_text, "turn the lights on")
        awaitAnswer(activity)
        screenshot(activity, "labels-rtl-large-$level")
    }

    @Test
    fun `a model that another app offers is opened and chosen`() {
        val uri = Uri.parse("content://files/weather.tflite")
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        shadowOf(resolver).registerInputStream(uri, modelOf("regression").inputStream())
        val controller = Robolectric.buildActivity(
            MainActivity::class.java, Intent(Intent.ACTION_VIEW, uri),
        ).setup()
        val activity = controller.get()
        waitUntil("opening") {
            "weather.tflite" in activity.words(R.id.facts) && tabs(activity).size == 10
        }
    }

    @Test
    fun `what is no model is said, and nothing else changes`() {
        val uri = Uri.parse("content://files/notes.txt")
        val resolver = RuntimeEnvironment.getApplication().contentResolver
        shadowOf(resolver).registerInputStream(uri, "no model".byteInputStream())
        val activity = start(Intent(Intent.ACTION_VIEW, uri)).get()
        waitUntil("the problem") { activity.shown(R.id.problem) }
        assertEquals(9, tabs(activity).size)
    }

    @Test
    fun `without a runtime it shows tokens and says what is missing`() {
        StandInRuntime.opener = null
        val activity = start().get()
        waitUntil("the problem") { activity.shown(R.id.problem) }
        assertTrue(activity.words(R.id.problem), "LiteRT has no library" in activity.words(R.id.problem))
        type(activity, R.id.first_text, "sunny")
        waitUntil("tokens") { "tokens" in activity.words(R.id.headline) }
        assertEquals("[CLS]", rows(activity).first())
    }

    private companion object {
        /** Colours of a screen that has letters on it, whose edges are smooth where fonts are. */
        const val MOST_PLAIN = 5
    }
}
