plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "org.edgebert.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "org.edgebert.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = "0.1.0"
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            // A key of this machine, so that it can be installed by adb. A shop wants your own.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    androidResources {
        // The model is mapped as it lies in the APK, which a compressed one can't be.
        noCompress += "tflite"
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }
}

dependencies {
    implementation(project(":litert"))
}
