// What Robolectric calls of androidx.test:monitor, which is on Google's Maven repository alone.
package androidx.test.runner.intent

import android.app.Instrumentation
import android.content.Intent

public interface IntentMonitor

public object IntentMonitorRegistry {
    @JvmStatic
    public fun registerInstance(monitor: IntentMonitor?) {
        // Robolectric registers one and never asks for it.
    }
}

public interface IntentStubber {
    public fun getActivityResultForIntent(intent: Intent): Instrumentation.ActivityResult?
}

public object IntentStubberRegistry {
    @JvmStatic
    public fun isLoaded(): Boolean = false

    @JvmStatic
    public fun getInstance(): IntentStubber = error("Nothing is stubbed.")
}
