// The Android plugin brings Kotlin; this is the version of it, for all modules.
buildscript {
    dependencies {
        classpath(libs.kotlin.plugin)
    }
}

plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
}
