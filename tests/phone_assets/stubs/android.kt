// What the generated Kotlin uses of Android, for a JVM: assets come from folders.
package android.content

import android.content.res.AssetManager

public open class Context(public val assets: AssetManager)
