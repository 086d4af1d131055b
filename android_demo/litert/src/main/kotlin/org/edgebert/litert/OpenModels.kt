/** `openAsset` and `openFile` of every task. From Java: `OpenModels.openAsset(TextClassifier.Companion, ...)`. */
@file:JvmName("OpenModels")

package org.edgebert.litert

import android.content.Context
import java.io.File
import org.edgebert.EngineException
import org.edgebert.EngineFactory
import org.edgebert.MaskFiller
import org.edgebert.ModelException
import org.edgebert.ModelFile
import org.edgebert.QuestionAnswerer
import org.edgebert.TextClassifier
import org.edgebert.TextEmbedder
import org.edgebert.TextModel
import org.edgebert.TextScorer
import org.edgebert.TokenTagger

/**
 * Opens a model whatever its task is, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextModel.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): TextModel = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model whatever its task is, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextModel.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): TextModel = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task classification, pairs or multi-label, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextClassifier.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): TextClassifier = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task classification, pairs or multi-label, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextClassifier.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): TextClassifier = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task regression, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextScorer.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): TextScorer = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task regression, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextScorer.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): TextScorer = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task ner or pos, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TokenTagger.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): TokenTagger = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task ner or pos, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TokenTagger.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): TokenTagger = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task qa, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun QuestionAnswerer.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): QuestionAnswerer = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task qa, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun QuestionAnswerer.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): QuestionAnswerer = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task embeddings, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextEmbedder.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): TextEmbedder = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task embeddings, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun TextEmbedder.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): TextEmbedder = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

/**
 * Opens a model of the task masked-lm, from the app's assets. Not on the main thread: it takes some 100 ms.
 *
 * @throws ModelException there is no such asset, it is compressed, or of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun MaskFiller.Companion.openAsset(
    context: Context,
    name: String,
    options: LiteRtOptions = LiteRtOptions(),
): MaskFiller = fromAsset(context, name, options) { file, engines -> open(file, engines) }

/**
 * Opens a model of the task masked-lm, from a file: one that was downloaded, for example. See [openAsset].
 *
 * @throws ModelException it can't be read, or is of another task.
 * @throws EngineException this phone can't run LiteRT, or LiteRT does not take the file.
 */
@JvmOverloads
@Throws(ModelException::class)
public fun MaskFiller.Companion.openFile(
    context: Context,
    path: File,
    options: LiteRtOptions = LiteRtOptions(),
): MaskFiller = open(LiteRt.modelFile(path), LiteRt.engines(context, options))

private inline fun <T> fromAsset(
    context: Context,
    name: String,
    options: LiteRtOptions,
    open: (ModelFile, EngineFactory) -> T,
): T = open(LiteRt.assetFile(context, name), LiteRt.assetEngines(context, name, options))
