package android.content.res

import java.io.Closeable
import java.io.File
import java.io.FileDescriptor
import java.io.FileInputStream
import java.io.FileNotFoundException
import java.io.IOException
import java.io.InputStream

public class AssetFileDescriptor(file: File) : Closeable {
    private val stream = FileInputStream(file)
    public val fileDescriptor: FileDescriptor = stream.fd
    public val startOffset: Long = 0
    public val declaredLength: Long = file.length()

    @Throws(IOException::class)
    override fun close(): Unit = stream.close()
}

public class AssetManager(private val folder: File, private val compressed: Boolean = false) {
    @Throws(IOException::class)
    public fun open(name: String): InputStream = FileInputStream(File(folder, name))

    @Throws(IOException::class)
    public fun openFd(name: String): AssetFileDescriptor {
        if (compressed) throw FileNotFoundException("$name is compressed")
        return AssetFileDescriptor(File(folder, name))
    }
}
