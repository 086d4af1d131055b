package org.edgebert.litert

import android.content.Context
import android.util.Log
import java.io.File
import org.edgebert.ModelFile

/**
 * The files of XNNPACK's packed weights, one a model, in the app's cache folder.
 *
 * A file is named by the model's SHA-256, so a new model never meets the weights of an old one.
 * Android may empty the folder at any time; the weights are packed again then.
 */
internal class WeightCache(context: Context) {
    private val folder = File(context.applicationContext.cacheDir, "edgebert-weights")

    /** Where the packed weights of a model go; null where the folder can't be written. */
    fun pathOf(file: ModelFile): String? {
        if (!(folder.isDirectory || folder.mkdirs()) || !folder.canWrite()) {
            Log.w(TAG, "$folder can't be written: the weights are packed anew at every start.")
            return null
        }
        return File(folder, "${file.sha256()}.xnnpack").path
    }

    private companion object {
        const val TAG = "edgebert"
    }
}
