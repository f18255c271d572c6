// LiteRT as its Java API has it, played by recorded outputs.
package org.tensorflow.lite

import java.io.Closeable
import java.io.File
import java.nio.ByteBuffer

public interface Delegate : Closeable {
    public fun getNativeHandle(): Long

    override fun close() {}
}

public class Tensor(private val bytes: Int) {
    public fun numBytes(): Int = bytes
}

/** What the fake knows: tensor sizes, and a folder with `<sample>.input<i>.bin` and outputs. */
public object Recording {
    public var inputs: List<Int> = emptyList()
    public var outputs: List<Int> = emptyList()
    public var goldens: File = File(".")
    public var samples: Int = 0
    /** Added to the first byte of every output: what a wrong phone would compute. */
    public var wrong: Int = 0
    public var open: Int = 0
    public var options: Interpreter.Options? = null
}

public class Interpreter(private val model: ByteBuffer, options: Options) : AutoCloseable {
    public class Options {
        public var threads: Int = -1
        public var xnnpack: Boolean = true
        public val delegates: MutableList<Delegate> = mutableListOf()

        public fun setNumThreads(numThreads: Int): Options = apply { threads = numThreads }

        public fun setUseXNNPACK(useXNNPACK: Boolean): Options = apply { xnnpack = useXNNPACK }

        public fun addDelegate(delegate: Delegate): Options = apply { delegates += delegate }
    }

    init {
        require(model.isDirect) { "the model must be a direct buffer" }
        require(model[4] == 'T'.code.toByte() && model[7] == '3'.code.toByte()) { "no model" }
        Recording.open += 1
        Recording.options = options
    }

    public val inputTensorCount: Int get() = Recording.inputs.size
    public val outputTensorCount: Int get() = Recording.outputs.size

    public fun getInputTensor(index: Int): Tensor = Tensor(Recording.inputs[index])

    public fun getOutputTensor(index: Int): Tensor = Tensor(Recording.outputs[index])

    public fun resetVariableTensors() {}

    public fun runForMultipleInputsOutputs(inputs: Array<Any>, outputs: Map<Int, Any>) {
        val given = inputs.map { value ->
            val buffer = value as ByteBuffer
            check(buffer.isDirect && buffer.position() == 0)
            ByteArray(buffer.remaining()).also { buffer.get(it) }
        }
        val sample = (0 until Recording.samples).firstOrNull { sample ->
            given.indices.all { given[it].contentEquals(golden("$sample.input$it.bin")) }
        } ?: error("these inputs are none of the recorded ones")
        outputs.forEach { (index, value) ->
            val bytes = golden("$sample.output$index.bin")
            if (Recording.wrong != 0) bytes[bytes.size - 1] = (bytes[bytes.size - 1] + Recording.wrong).toByte()
            (value as ByteBuffer).put(bytes)
        }
    }

    override fun close() {
        Recording.open -= 1
    }

    private fun golden(name: String): ByteArray = File(Recording.goldens, name).readBytes()
}
