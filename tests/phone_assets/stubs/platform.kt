package androidx.test.platform.app

import android.content.Context

public class Instrumentation(public val context: Context, public val targetContext: Context)

public object InstrumentationRegistry {
    public lateinit var current: Instrumentation

    @JvmStatic
    public fun getInstrumentation(): Instrumentation = current
}
