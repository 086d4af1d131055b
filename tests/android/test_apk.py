"""The APK that is built without an Android SDK, as Android's own tools read it.

Nothing here can install it: no phone and no emulator is there.
"""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.android.conftest import ANDROID, _missing

BUILDER = ANDROID / "apk" / "build_apk.py"
sys.path.insert(0, str(BUILDER.parent))

from apk_zip import Entry, write_zip  # noqa: E402
from elf import smallest_alignment  # noqa: E402

Build = Callable[..., subprocess.CompletedProcess[str]]


def elf(alignment: int, bits: int = 64) -> bytes:
    """A native library with one segment that is loaded."""
    head = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 120, 120, alignment)


@pytest.fixture(scope="module")
def build() -> Build:
    """Runs the builder."""
    for program in ("java", "aapt2", "apksigner", "keytool", "dexdump"):
        if shutil.which(program) is None:
            _missing(
                f"no {program}: apt-get install aapt apksigner dexdump openjdk-17-jdk-headless"
            )
    if not (ANDROID / "apk" / "target" / "class-path.txt").is_file():
        _missing("the programs that make an APK are not there: make android")

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(BUILDER), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def aar(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An AAR in the shape of LiteRT's: its classes are our stand-ins, its libraries are empty."""
    folder = tmp_path_factory.mktemp("aar")
    classes = ANDROID / "stand-ins" / "target" / "classes"
    with zipfile.ZipFile(folder / "classes.jar", "w") as jar:
        for path in (classes / "com").rglob("*.class"):
            jar.write(path, path.relative_to(classes).as_posix())
    made = folder / "litert.aar"
    with zipfile.ZipFile(made, "w") as archive:
        archive.write(folder / "classes.jar", "classes.jar")
        archive.writestr("jni/arm64-v8a/liblitert_jni.so", elf(16384))
        archive.writestr("jni/armeabi-v7a/liblitert_jni.so", elf(4096, bits=32))
    return made


@pytest.fixture(scope="module")
def apk(build: Build, aar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("apk")
    model = folder / "model.tflite"
    model.write_bytes(b"a model" * 1000)
    made = folder / "edgebert.apk"
    done = build("-o", made, "--aar", aar, "--model", model)
    assert done.returncode == 0, done.stderr
    assert "with LiteRT" in done.stdout
    return made


def output(*command: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_manifest_is_what_a_phone_reads(apk: Path) -> None:
    badging = output("aapt2", "dump", "badging", apk)
    assert "package: name='org.edgebert.demo' versionCode='1'" in badging
    assert "sdkVersion:'26'" in badging
    assert "targetSdkVersion:'36'" in badging
    assert "launchable-activity: name='org.edgebert.demo.MainActivity'" in badging
    manifest = output("aapt2", "dump", "xmltree", apk, "--file", "AndroidManifest.xml")
    assert '"android.permission.DUMP"' in manifest


def test_the_signature_holds(apk: Path) -> None:
    said = output("apksigner", "verify", "-v", "--min-sdk-version", "26", apk)
    assert re.search(r"v2 scheme.*: true", said)
    assert re.search(r"v3 scheme.*: true", said)


def test_what_is_mapped_is_stored_and_aligned(apk: Path) -> None:
    with zipfile.ZipFile(apk) as archive, apk.open("rb") as file:
        assert archive.testzip() is None
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            start = info.header_offset + 30 + name + extra
            if info.filename.endswith(".so"):
                assert (info.compress_type, start % 16384) == (zipfile.ZIP_STORED, 0)
            elif info.filename.endswith((".tflite", ".arsc")):
                assert (info.compress_type, start % 4) == (zipfile.ZIP_STORED, 0)
        names = set(archive.namelist())
    assert {"lib/arm64-v8a/liblitert_jni.so", "assets/model.tflite", "classes.dex"} <= names


def test_every_class_of_ours_and_of_litert_is_in_the_dex(apk: Path) -> None:
    found = set(re.findall(r"Class descriptor\s*: 'L([^;]+);'", output("dexdump", apk)))
    for module in ("text", "litert", "app"):
        classes = ANDROID / module / "target" / "classes"
        ours = {
            path.relative_to(classes).with_suffix("").as_posix()
            for path in classes.rglob("*.class")
        }
        assert ours
        assert ours <= found
    assert "com/google/ai/edge/litert/CompiledModel" in found
    assert not [name for name in found if name.startswith("androidx/")]
    assert not [name for name in found if "standins" in name]


def test_the_same_inputs_give_the_same_bytes(
    apk: Path, build: Build, aar: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.apk"
    done = build("-o", again, "--aar", aar, "--model", apk.with_name("model.tflite"))
    assert done.returncode == 0, done.stderr
    assert again.read_bytes() == apk.read_bytes()


def test_without_litert_it_is_whole_and_small(build: Build, tmp_path: Path) -> None:
    made = tmp_path / "small.apk"
    done = build("-o", made)
    assert done.returncode == 0, done.stderr
    assert "without LiteRT" in done.stdout
    assert made.stat().st_size < 500_000
    output("apksigner", "verify", "--min-sdk-version", "26", made)


@pytest.mark.parametrize(
    ("library", "words"),
    [
        (elf(4096), "expected segments at 16384 bytes.*Received: 4096"),
        (b"no library", "expected a native library"),
        (elf(16384)[:80], "cut short"),
    ],
)
def test_an_aar_that_phones_would_refuse_is_refused(
    build: Build, tmp_path: Path, library: bytes, words: str
) -> None:
    aar, made = tmp_path / "bad.aar", tmp_path / "bad.apk"
    with zipfile.ZipFile(aar, "w") as archive:
        archive.writestr("classes.jar", b"")
        archive.writestr("jni/arm64-v8a/liblitert_jni.so", library)
    done = build("-o", made, "--aar", aar)
    assert done.returncode == 1
    assert re.search(words, done.stderr)
    assert not made.exists()


def test_alignment_is_that_of_the_loaded_segments() -> None:
    assert smallest_alignment(elf(65536)) == 65536
    assert smallest_alignment(elf(4096, bits=32)) is None


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,5}(/[a-z]{1,5})?(\.so|\.tflite)?", fullmatch=True),
        st.binary(max_size=3000),
        max_size=6,
    )
)
def test_any_files_are_read_back_and_aligned(files: dict[str, bytes]) -> None:
    entries = [Entry(name, data, name.endswith((".so", ".tflite"))) for name, data in files.items()]
    packed = write_zip(entries)
    assert packed == write_zip(reversed(entries))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
        for info in archive.infolist():
            name, extra = struct.unpack_from("<HH", packed, info.header_offset + 26)
            start = info.header_offset + 30 + name + extra
            if info.filename.endswith(".so"):
                assert start % 16384 == 0
