@file:JvmName("ValuesKt")

package harness

import com.example.words.driven

public fun main(arguments: Array<String>) {
    println(driven(arguments[0]))
}
