package org.edgebert

/** Opens models of one task, or of any. The companion of every model class is one. */
public interface ModelOpener<out T : TextModel> {
    /**
     * Opens a model.
     *
     * @throws ModelException the file is of another task.
     */
    @Throws(ModelException::class)
    public fun open(file: ModelFile, engines: EngineFactory): T
}
