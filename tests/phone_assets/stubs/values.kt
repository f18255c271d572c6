// Drives the class of the module `words` as an app would, and prints what it said as JSON.
package com.example.words

import android.content.Context
import android.content.res.AssetManager
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Recording

internal fun json(text: String): String =
    text.map { if (it.code in 32..126 && it != '"' && it != '\\') "$it" else "\\u%04x".format(it.code) }
        .joinToString("", "\"", "\"")

public fun driven(folder: String): String {
    Recording.inputs = listOf(4 * 48)
    Recording.outputs = listOf(4 * 4)
    Recording.samples = 1
    Recording.goldens = File(folder, "src/androidTest/assets/golden")
    val golden = ByteBuffer.wrap(File(Recording.goldens, "0.input0.bin").readBytes())
    golden.order(ByteOrder.LITTLE_ENDIAN)
    val input = FloatArray(48) { golden.getFloat() }
    val context = Context(AssetManager(File(folder, "src/main/assets")))
    val options = RunOptions(2, listOf(Accelerator.GPU, Accelerator.NNAPI))
    WordsModel.create(context, options).use { model ->
        check(Recording.options?.threads == 2 && Recording.options?.xnnpack == false)
        val best = model.classify(input, k = 3)
        val refused = runCatching { model.run(FloatArray(2)) }.exceptionOrNull()?.message.orEmpty()
        val spec = TensorSpec("x", Stored.INT8, 9, 0.5, 1)
        val values = floatArrayOf(
            0.25f, -0.25f, 0.75f, -0.75f, 1e9f, -1e9f, 0.1f, Float.NaN, Float.POSITIVE_INFINITY,
        )
        return listOf(
            "\"best\":" + best.map { it.index },
            "\"labels\":" + best.map { json(it.label.orEmpty()) },
            "\"accelerator\":" + json(model.accelerator.name),
            "\"fallbacks\":" + model.fallbacks.map { json(it) },
            "\"quantized\":" + Codec.encode(values, spec).map { it.toInt() },
            "\"refused\":" + json(refused),
        ).joinToString(",", "{", "}")
    }
}
