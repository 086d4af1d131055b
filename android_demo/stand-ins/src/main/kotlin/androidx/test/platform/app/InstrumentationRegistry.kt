// What Robolectric calls of androidx.test:monitor, which is on Google's Maven repository alone.
package androidx.test.platform.app

import android.app.Instrumentation
import android.os.Bundle

/** Holds the instrumentation of the test that runs. */
public object InstrumentationRegistry {
    private var registered: Instrumentation? = null

    @JvmStatic
    public fun registerInstance(instrumentation: Instrumentation?, arguments: Bundle?) {
        registered = instrumentation
    }

    @JvmStatic
    public fun getInstrumentation(): Instrumentation = checkNotNull(registered)
}
