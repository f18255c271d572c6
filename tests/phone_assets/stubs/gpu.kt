package org.tensorflow.lite.gpu

import java.io.Closeable
import org.tensorflow.lite.Delegate

public open class GpuDelegateFactory {
    public open class Options
}

public class GpuDelegate(@Suppress("UNUSED_PARAMETER") options: GpuDelegateFactory.Options) : Delegate {
    public class Options : GpuDelegateFactory.Options()

    override fun getNativeHandle(): Long = 0
}

/** A phone whose GPU LiteRT does not know. */
public class CompatibilityList : Closeable {
    public val isDelegateSupportedOnThisDevice: Boolean get() = false
    public val bestOptionsForThisDevice: GpuDelegate.Options get() = GpuDelegate.Options()

    override fun close() {}
}
