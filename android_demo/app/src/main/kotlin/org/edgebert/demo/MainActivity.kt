package org.edgebert.demo

import android.app.Activity
import android.content.ComponentCallbacks2
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.view.Menu
import android.view.MenuItem
import android.widget.Toolbar
import java.io.IOException
import kotlin.concurrent.thread

/** The demo: a tab a model, answers as one types. It keeps nothing; [DemoSession] has the state. */
class MainActivity : Activity() {
    private lateinit var session: DemoSession
    private lateinit var screen: DemoScreen

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        setActionBar(findViewById<Toolbar>(R.id.toolbar))
        val kept = lastNonConfigurationInstance as DemoSession?
        session = kept ?: newSession(savedInstanceState)
        screen = DemoScreen(this, session)
        session.onState = screen::show
        screen.show(session.state)
        if (kept == null && savedInstanceState == null) openSent(intent)
    }

    override fun onStart() {
        super.onStart()
        session.resume()
    }

    /** Rotation and other changes of the configuration keep the session, and with it the model. */
    @Deprecated("There is no other way without androidx.")
    override fun onRetainNonConfigurationInstance(): Any = session

    override fun onSaveInstanceState(outState: Bundle) {
        super.onSaveInstanceState(outState)
        val saved = Bundle()
        for ((key, texts) in session.state.inputs) {
            // A megabyte is all that Android keeps of an app; long texts are left out.
            if (texts.sumOf { it.length } < LONGEST_SAVED) {
                saved.putStringArrayList(key, ArrayList(texts))
            }
        }
        outState.putBundle(SAVED_INPUTS, saved)
        outState.putString(SAVED_TAB, session.state.selected)
    }

    override fun onDestroy() {
        super.onDestroy()
        session.onState = {}
        if (!isChangingConfigurations) session.close()
    }

    override fun onTrimMemory(level: Int) {
        super.onTrimMemory(level)
        if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) session.release()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        openSent(intent)
    }

    override fun onCreateOptionsMenu(menu: Menu): Boolean {
        menuInflater.inflate(R.menu.main, menu)
        return true
    }

    override fun onOptionsItemSelected(item: MenuItem): Boolean {
        if (item.itemId != R.id.open_model) return super.onOptionsItemSelected(item)
        val pick = Intent(Intent.ACTION_OPEN_DOCUMENT)
            .addCategory(Intent.CATEGORY_OPENABLE).setType("*/*")
        try {
            @Suppress("DEPRECATION") // What replaced it is in androidx.
            startActivityForResult(pick, PICK)
        } catch (error: android.content.ActivityNotFoundException) {
            session.report(error.message ?: error.toString())
        }
        return true
    }

    @Deprecated("What replaced it is in androidx.")
    override fun onActivityResult(requestCode: Int, resultCode: Int, data: Intent?) {
        if (requestCode == PICK && resultCode == RESULT_OK) data?.data?.let(::open)
    }

    private fun newSession(saved: Bundle?): DemoSession {
        val main = Handler(Looper.getMainLooper())
        val made = DemoSession { action -> main.post(action) }
        val inputs = saved?.getBundle(SAVED_INPUTS)
        if (inputs != null) {
            made.restore(inputs.keySet().associateWith { inputs.getStringArrayList(it).orEmpty() })
        }
        val chosen = saved?.getString(SAVED_TAB)
        val context = applicationContext
        for (source in AssetSource.all(context) + FileSource.all(context)) {
            made.add(source, select = source.key == chosen)
        }
        return made
    }

    private fun openSent(intent: Intent) {
        if (intent.action == Intent.ACTION_VIEW) intent.data?.let(::open)
    }

    private fun open(uri: Uri) {
        val context = applicationContext
        val own = session
        thread(name = "edgebert-copy") {
            val made = try {
                FileSource.copyOf(context, uri)
            } catch (error: IOException) {
                runOnUiThread { own.report(error.message ?: error.toString()) }
                return@thread
            }
            runOnUiThread { own.add(made, select = true) }
        }
    }

    private companion object {
        const val PICK = 1
        const val SAVED_INPUTS = "inputs"
        const val SAVED_TAB = "tab"
        const val LONGEST_SAVED = 100_000
    }
}
