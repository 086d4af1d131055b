package org.edgebert

import java.io.IOException

/** A model file can't be used: it is damaged, has no manifest, or is of another task. */
public class ModelException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    IOException(message, cause)

/** The runtime failed, or does not take a file. The message has what the runtime itself said. */
public class EngineException @JvmOverloads constructor(message: String, cause: Throwable? = null) :
    RuntimeException(message, cause)
