package org.edgebert.demo

import android.content.Context
import android.database.Cursor
import android.net.Uri
import android.provider.OpenableColumns
import java.io.File
import java.io.IOException
import org.edgebert.ModelFile
import org.edgebert.TextModel
import org.edgebert.litert.LiteRt
import org.edgebert.litert.openAsset
import org.edgebert.litert.openFile

/** A model in the app's assets. */
internal class AssetSource(private val context: Context, private val name: String) : ModelSource {
    override val key: String get() = "asset:$name"

    override fun file(): ModelFile = LiteRt.assetFile(context, name)

    override fun model(): TextModel = TextModel.openAsset(context, name)

    companion object {
        /** The app's models. */
        fun all(context: Context): List<AssetSource> = context.assets.list("").orEmpty()
            .filter { it.endsWith(MODEL_ENDING) }
            .map { AssetSource(context, it) }
    }
}

/** A model in a file. */
internal class FileSource(private val context: Context, private val path: File) : ModelSource {
    override val key: String get() = "file:${path.name}"

    override fun file(): ModelFile = ModelFile.open(path)

    override fun model(): TextModel = TextModel.openFile(context, path)

    companion object {
        /** The models that were picked before. */
        fun all(context: Context): List<FileSource> = folder(context).listFiles().orEmpty()
            .filter { it.name.endsWith(MODEL_ENDING) }
            .sortedBy { it.name }
            .map { FileSource(context, it) }

        /**
         * Copies a model that another app offers, since a runtime maps files and not streams.
         *
         * @throws IOException it can't be read, there is no room, or it is no model of edgebert.
         */
        fun copyOf(context: Context, uri: Uri): FileSource {
            val folder = folder(context)
            folder.mkdirs()
            val part = File(folder, "incoming.part")
            try {
                val from = context.contentResolver.openInputStream(uri)
                    ?: throw IOException("$uri gives no file.")
                from.use { stream -> part.outputStream().use { stream.copyTo(it) } }
                ModelFile.open(part)
                val path = File(folder, nameOf(context, uri))
                if (!part.renameTo(path)) throw IOException("$path can't be written.")
                return FileSource(context, path)
            } catch (error: SecurityException) {
                throw IOException("$uri may not be read: ${error.message}.", error)
            } finally {
                part.delete()
            }
        }

        private fun nameOf(context: Context, uri: Uri): String {
            val shown = context.contentResolver
                .query(uri, arrayOf(OpenableColumns.DISPLAY_NAME), null, null, null)
                ?.use(::firstText)
            val plain = (shown ?: uri.lastPathSegment ?: "model")
                .substringAfterLast('/').removeSuffix(MODEL_ENDING)
                .filter { it.isLetterOrDigit() || it in "-_. " }
                .trim('.', ' ')
            return plain.ifEmpty { "model" } + MODEL_ENDING
        }

        private fun firstText(cursor: Cursor): String? =
            if (cursor.moveToFirst() && !cursor.isNull(0)) cursor.getString(0) else null

        private fun folder(context: Context) = File(context.filesDir, "models")
    }
}

private const val MODEL_ENDING = ".tflite"
