// What Robolectric calls of androidx.test:monitor, which is on Google's Maven repository alone.
package androidx.test.internal.runner.intent

import android.content.Intent
import androidx.test.runner.intent.IntentMonitor

public class IntentMonitorImpl : IntentMonitor {
    public fun signalIntent(intent: Intent) {
        // Nobody here asks for it.
    }
}
