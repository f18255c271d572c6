// Runs the golden test of a generated module: PACKAGE MODULE_FOLDER NAME INPUTS OUTPUTS SAMPLES WRONG
package harness

import android.content.Context
import android.content.res.AssetManager
import androidx.test.platform.app.Instrumentation
import androidx.test.platform.app.InstrumentationRegistry
import java.io.File
import java.lang.reflect.InvocationTargetException
import kotlin.system.exitProcess
import org.junit.Test
import org.tensorflow.lite.Recording

private fun sizes(text: String) = text.split(",").map { it.toInt() }

public fun main(arguments: Array<String>) {
    val (name, folder, inputs, outputs, samples) = arguments
    val assets = File(folder, "src/main/assets")
    val tests = File(folder, "src/androidTest/assets")
    Recording.inputs = sizes(inputs)
    Recording.outputs = sizes(outputs)
    Recording.samples = samples.toInt()
    Recording.goldens = File(tests, "golden")
    Recording.wrong = arguments[5].toInt()
    val compressed = arguments[6] == "compressed"
    InstrumentationRegistry.current =
        Instrumentation(Context(AssetManager(tests)), Context(AssetManager(assets, compressed)))
    val test = Class.forName("$name.GoldenTest")
    var failed = 0
    for (method in test.methods.filter { it.isAnnotationPresent(Test::class.java) }.sortedBy { it.name }) {
        try {
            method.invoke(test.getDeclaredConstructor().newInstance())
            println("ok ${method.name}")
        } catch (error: InvocationTargetException) {
            failed += 1
            println("FAILED ${method.name}: ${error.cause}")
        }
    }
    println("open interpreters: ${Recording.open}")
    exitProcess(if (failed == 0) 0 else 1)
}
