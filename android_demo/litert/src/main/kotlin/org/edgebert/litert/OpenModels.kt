/** `openAsset` and `openFile` of every task. From Java: `OpenModels.openAsset(TextClassifier.Companion, ...)`. */
@file:JvmName("OpenModels")

package org.edgebert.litert

import android.content.Context
import java.io.File
import org.edgebert.EngineException
import org.edgebert.ModelException
import org.edgebert.ModelOpener
import org.edgebert.TextModel

/**
 * Opens a model from the app's assets: `TextClassifier.openAsset(context, "model.tflite")`, or `TextModel.openAsset`
 * for a model of any task. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun <T : TextModel> ModelOpener<T>.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): T = open(LiteRt.assetFile(context, name), LiteRt.assetEngines(context, name, options))

/**
 * Opens a model from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun <T : TextModel> ModelOpener<T>.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): T = open(LiteRt.modelFile(path), LiteRt.engines(context, options))
