"""Builds the demo app's APK without an Android SDK.

    python android_demo/apk/build_apk.py -o edgebert.apk [--aar litert.aar] [--model m.tflite ...]

Maven compiles first (`make apk` does both). Then ProGuard cuts Kotlin's standard library down, dx
makes classes.dex, aapt2 links manifest and resources, and apksigner signs (v2 and v3). The AAR of
LiteRT is on Google's Maven repository (com.google.ai.edge.litert:litert); without it the APK is
whole but can only show tokens. The same inputs and the same key give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from apk_zip import Entry, write_zip
from elf import PAGE_BYTES, smallest_alignment

HERE = Path(__file__).resolve().parent
ANDROID = HERE.parent
MODULES = ("text", "litert", "app")
MIN_SDK, TARGET_SDK = 26, 36
"""dx knows no older Android than 26 for what Kotlin's standard library uses."""
KEY_ALIAS, KEY_PASSWORD = "debug", "android"
KEPT_AS_THEY_ARE = (".so", ".tflite", ".arsc")


class ApkError(Exception):
    """What was expected, what came, and what to do next."""


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 1 after an error on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="the APK to write")
    parser.add_argument("--aar", type=Path, help="LiteRT, as Google's Maven repository has it")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a .tflite to add")
    parser.add_argument("--keystore", type=Path, default=HERE / "target" / "debug.p12")
    given = parser.parse_args(arguments)
    try:
        build(given.out, given.aar, given.model, given.keystore)
    except (ApkError, OSError, zipfile.BadZipFile) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    size = given.out.stat().st_size
    print(f"{given.out}: {size / 1e6:.2f} MB, {'with' if given.aar else 'without'} LiteRT")
    return 0


def build(out: Path, aar: Path | None, models: Sequence[Path], keystore: Path) -> None:
    """Writes the APK, whole or not at all.

    Raises:
        ApkError: something that is needed is missing, or a step failed.
    """
    for program in ("java", "aapt2", "apksigner", "keytool"):
        if shutil.which(program) is None:
            raise ApkError(
                f"expected the program {program}. Received: none on the path. "
                "Next: apt-get install aapt apksigner openjdk-17-jdk-headless."
            )
    path = HERE / "target" / "class-path.txt"
    if not path.is_file():
        raise ApkError(f"expected {path}. Received: no file. Next: make apk.")
    jars = [Path(jar) for jar in path.read_text().strip().split(os.pathsep)]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        classes, libraries = _aar_parts(aar, folder)
        shrunk = _shrink(jars, classes, folder)
        dex = _dex(jars, shrunk, folder)
        entries = [
            *_resources(jars, folder),
            Entry("classes.dex", dex, is_stored=False),
            *libraries,
            *(Entry(f"assets/{model.name}", model.read_bytes(), True) for model in models),
        ]
        unsigned = folder / "unsigned.apk"
        unsigned.write_bytes(write_zip(entries))
        _sign(unsigned, keystore, folder / "signed.apk")
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}.part")
        shutil.copyfile(folder / "signed.apk", part)
        os.replace(part, out)


def _jar(jars: Sequence[Path], name: str) -> Path:
    pattern = re.compile(rf"{name}-\d[^/]*\.jar")
    found = [jar for jar in jars if pattern.fullmatch(jar.name)]
    if len(found) != 1:
        raise ApkError(f"expected {name} once in the class path. Received: {found}.")
    return found[0]


def _aar_parts(aar: Path | None, folder: Path) -> tuple[list[Path], list[Entry]]:
    """The jars and the native libraries of an AAR."""
    if aar is None:
        return [], []
    with zipfile.ZipFile(aar) as archive:
        names = archive.namelist()
        if "classes.jar" not in names:
            raise ApkError(f"expected classes.jar in {aar}. Received: {names[:5]}.")
        jar = folder / "litert.jar"
        jar.write_bytes(archive.read("classes.jar"))
        libraries = [
            Entry(f"lib/{name.removeprefix('jni/')}", archive.read(name), True)
            for name in names
            if name.startswith("jni/") and name.endswith(".so")
        ]
    for library in libraries:
        _refuse_small_pages(library, aar)
    return [jar], libraries


def _refuse_small_pages(library: Entry, aar: Path) -> None:
    try:
        alignment = smallest_alignment(library.data)
    except ValueError as error:
        raise ApkError(f"{aar}, {library.name}: {error}.") from error
    if alignment is not None and alignment < PAGE_BYTES:
        raise ApkError(
            f"{aar}: expected segments at {PAGE_BYTES} bytes, which Google Play wants. Received: "
            f"{alignment} in {library.name}. Next: take a newer LiteRT."
        )


def _shrink(jars: Sequence[Path], further: Sequence[Path], folder: Path) -> Path:
    """One jar with our classes and what of Kotlin's library they call."""
    out = folder / "shrunk.jar"
    inputs = [ANDROID / module / "target" / "classes" for module in MODULES]
    for each in inputs:
        if not each.is_dir():
            raise ApkError(f"expected {each}. Received: no folder. Next: make apk.")
    kotlin = f"{_jar(jars, 'kotlin-stdlib')}(!META-INF/**,!**.kotlin_builtins)"
    java = Path(os.path.realpath(shutil.which("java") or "")).parents[1]
    rules = [
        f"-include {HERE / 'shrink.pro'}",
        *(f"-injars {each}(**.class)" for each in (*inputs, *further)),
        f"-injars {kotlin}",
        f"-outjars {out}",
        f"-libraryjars {_jar(jars, 'android-all')}(!META-INF/**)",
        f"-libraryjars {java}/jmods/java.base.jmod(!**.jar;!module-info.class)",
    ]
    file = folder / "rules.pro"
    file.write_text("\n".join(rules) + "\n")
    _run(_java(jars, "proguard.ProGuard", f"@{file}"))
    return out


def _dex(jars: Sequence[Path], shrunk: Path, folder: Path) -> bytes:
    out = folder / "classes.dex"
    options = ["--dex", f"--min-sdk-version={MIN_SDK}", f"--output={out}", str(shrunk)]
    _run(_java(jars, "com.android.dx.command.Main", *options))
    return out.read_bytes()


def _java(jars: Sequence[Path], main_class: str, *arguments: str) -> list[str]:
    tools = [str(jar) for jar in jars if not jar.name.startswith("android-all")]
    return ["java", "-cp", os.pathsep.join(tools), main_class, *arguments]


def _resources(jars: Sequence[Path], folder: Path) -> Iterator[Entry]:
    """Manifest and resources, as aapt2 links them."""
    compiled, linked = folder / "resources.zip", folder / "resources.apk"
    _run(["aapt2", "compile", "--dir", f"{ANDROID}/app/src/main/res", "-o", str(compiled)])
    version = re.search(
        r'versionName = "([^"]+)"', (ANDROID / "app" / "build.gradle.kts").read_text()
    )
    _run(
        [
            *("aapt2", "link", "-I", str(_jar(jars, "android-all"))),
            *("--manifest", f"{ANDROID}/app/target/AndroidManifest.xml", "-o", str(linked)),
            *("--min-sdk-version", str(MIN_SDK), "--target-sdk-version", str(TARGET_SDK)),
            *("--version-code", "1", "--version-name", version[1] if version else "0"),
            str(compiled),
        ]
    )
    with zipfile.ZipFile(io.BytesIO(linked.read_bytes())) as archive:
        for name in archive.namelist():
            yield Entry(name, archive.read(name), name.endswith(KEPT_AS_THEY_ARE))


def _sign(unsigned: Path, keystore: Path, signed: Path) -> None:
    if not keystore.is_file():
        keystore.parent.mkdir(parents=True, exist_ok=True)
        _run(
            [
                *("keytool", "-genkeypair", "-keystore", str(keystore), "-storetype", "PKCS12"),
                *("-storepass", KEY_PASSWORD, "-alias", KEY_ALIAS, "-dname", "CN=edgebert debug"),
                *("-keyalg", "RSA", "-keysize", "2048", "-validity", "10000"),
            ]
        )
    _run(
        [
            *("apksigner", "sign", "--ks", str(keystore), "--ks-pass", f"pass:{KEY_PASSWORD}"),
            *("--ks-key-alias", KEY_ALIAS, "--v1-signing-enabled", "false"),
            *("--v2-signing-enabled", "true", "--v3-signing-enabled", "true"),
            *("--v4-signing-enabled", "false", "--min-sdk-version", str(MIN_SDK)),
            *("--out", str(signed), str(unsigned)),
        ]
    )


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise ApkError(f"{command[0]} failed ({' '.join(command[:4])} ...):\n{said}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
