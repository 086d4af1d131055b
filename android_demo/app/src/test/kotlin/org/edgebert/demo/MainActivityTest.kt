package org.edgebert.demo

import android.content.res.Configuration
import android.graphics.Bitmap
import android.graphics.Canvas
import android.view.View
import android.widget.EditText
import android.widget.TextView
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [23, 34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MainActivityTest {
    @Test
    fun `without a model it says what to do`() {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        assertEquals(
            activity.getString(R.string.no_models),
            activity.findViewById<TextView>(R.id.headline).text.toString(),
        )
    }
}
