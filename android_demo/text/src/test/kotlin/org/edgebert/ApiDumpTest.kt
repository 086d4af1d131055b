package org.edgebert

import java.io.File
import java.lang.reflect.Modifier
import kotlin.reflect.KCallable
import kotlin.reflect.KClass
import kotlin.reflect.KParameter
import kotlin.reflect.KProperty
import kotlin.reflect.KVisibility
import kotlin.reflect.full.companionObject
import kotlin.reflect.full.declaredMembers
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Test

/**
 * The library's interface is what api.txt has. Where a change is meant, take the new text:
 * mvn -pl text test -Dtest=ApiDumpTest -Dedgebert.writeApi=true
 */
class ApiDumpTest {
    @Test
    fun `the interface is the one that is written down`() {
        val file = File("api.txt")
        val received = dump()
        if (System.getProperty("edgebert.writeApi") != null) file.writeText(received)
        assertEquals(file.readText(), received)
    }

    private fun dump(): String {
        val folder = File(ModelFile::class.java.protectionDomain.codeSource.location.toURI())
        return folder.walk().filter { it.extension == "class" }
            .map { Class.forName(it.relativeTo(folder).path.removeSuffix(".class").replace(File.separatorChar, '.')) }
            .filter { isClass(it) && it.kotlin.visibility == KVisibility.PUBLIC && it.enclosingClass == null }
            .sortedBy { it.name }.joinToString("\n") { described(it.kotlin) }
    }

    /** Functions outside of classes are in classes of Kotlin's own; there are none that are public. */
    private fun isClass(type: Class<*>): Boolean {
        val isFile = type.simpleName.endsWith("Kt")
        if (isFile) assertEquals(emptyList<String>(), publicFunctions(type))
        return !isFile && !type.isAnonymousClass && !type.isLocalClass && !type.isSynthetic && '$' !in type.name
    }

    private fun publicFunctions(type: Class<*>): List<String> {
        val known = setOf("decode", "decoded", "codePoint", "unitsAt", "requirePair", "readRanges", "digitOf") // internal
        return type.declaredMethods.filter { Modifier.isPublic(it.modifiers) && !it.isSynthetic }
            .map { it.name }.filter { it !in known && '$' !in it }
    }

    private fun described(type: KClass<*>): String {
        val kind = listOfNotNull(
            "sealed".takeIf { type.isSealed },
            "data".takeIf { type.isData },
            if (type.java.isInterface) "interface" else "class",
        ).joinToString(" ")
        val parents = type.supertypes.filter { it.classifier != Any::class }
        val head = "$kind ${type.qualifiedName}" + if (parents.isEmpty()) "" else " : ${parents.joinToString()}"
        val companion = type.companionObject?.takeIf { it.visibility == KVisibility.PUBLIC }?.let { members(it) }.orEmpty().map { "static $it" }
        return (listOf(head) + (constructors(type) + members(type) + companion).map { "  $it" } + "").joinToString("\n")
    }

    private fun constructors(type: KClass<*>): List<String> =
        type.constructors.filter { it.visibility == KVisibility.PUBLIC }.map { "constructor${parameters(it)}" }

    private fun members(type: KClass<*>): List<String> = type.declaredMembers
        .filter { it.visibility == KVisibility.PUBLIC }
        .map {
            if (it is KProperty<*>) "val ${it.name}: ${it.returnType}" else "fun ${it.name}${parameters(it)}: ${it.returnType}"
        }.sorted()

    private fun parameters(member: KCallable<*>): String = member.parameters
        .filter { it.kind == KParameter.Kind.VALUE }
        .joinToString(", ", "(", ")") { "${it.name}: ${it.type}${if (it.isOptional) " = ..." else ""}" }
}
