package org.tensorflow.lite.nnapi

import org.tensorflow.lite.Delegate

/** A phone whose app left NNAPI's library out. */
public class NnApiDelegate : Delegate, AutoCloseable {
    init {
        throw UnsatisfiedLinkError("no NNAPI here")
    }

    override fun getNativeHandle(): Long = 0

    override fun close() {}
}
