package org.junit.runner

import kotlin.reflect.KClass

@Retention(AnnotationRetention.RUNTIME)
public annotation class RunWith(val value: KClass<*>)
