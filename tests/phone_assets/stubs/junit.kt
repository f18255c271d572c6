package org.junit

@Target(AnnotationTarget.FUNCTION)
@Retention(AnnotationRetention.RUNTIME)
public annotation class Test

public object Assert {
    @JvmStatic
    public fun assertArrayEquals(message: String, expected: ByteArray, actual: ByteArray) {
        if (!expected.contentEquals(actual)) throw AssertionError("$message: arrays differ")
    }

    @JvmStatic
    public fun assertEquals(message: String, expected: Any?, actual: Any?) {
        if (expected != actual) throw AssertionError("$message: $actual, not $expected")
    }

    @JvmStatic
    public fun assertEquals(expected: Any?, actual: Any?): Unit = assertEquals("", expected, actual)

    @JvmStatic
    public fun assertTrue(message: String, condition: Boolean) {
        if (!condition) throw AssertionError(message)
    }
}
