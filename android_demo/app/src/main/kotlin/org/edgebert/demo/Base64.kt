package org.edgebert.demo

import kotlin.io.encoding.Base64

/** Numbers as float32, little-endian, in base64. */
internal fun base64(values: FloatArray): String {
    val bytes = ByteArray(values.size * Float.SIZE_BYTES)
    for (place in values.indices) {
        val bits = values[place].toRawBits()
        for (byte in 0 until Float.SIZE_BYTES) {
            bytes[place * Float.SIZE_BYTES + byte] = (bits shr (8 * byte)).toByte()
        }
    }
    return Base64.encode(bytes)
}
