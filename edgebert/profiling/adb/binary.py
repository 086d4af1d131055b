"""The program `benchmark_model`: the check of its ABI, and the download of LiteRT's build."""

from __future__ import annotations

import hashlib
import struct
import urllib.error
import urllib.request
from pathlib import Path

from edgebert.errors import EdgebertError, UsageError
from edgebert.system.storage import atomic_write, cache_folder

LITERT_VERSION = "2.2.0"
PREBUILT = "https://storage.googleapis.com/litert/binaries/{version}/android_arm64/benchmark_model"
PREBUILT_ABI = "arm64-v8a"
FETCH_SECONDS = 120.0

ELF_MACHINES = {183: "arm64-v8a", 40: "armeabi-v7a", 62: "x86_64", 3: "x86"}
"""Android's ABI names by `e_machine` of an ELF file."""


def refuse_other_abi(path: Path, abi: str) -> None:
    """Checks the ABI of the tool's file. Scripts are not checked.

    Raises:
        UsageError: The file has another ABI, or is missing.
    """
    try:
        head = path.open("rb").read(20)
    except OSError as error:
        raise UsageError(
            f"--benchmark-binary expects a file. Received: {path}: {error.strerror}."
        ) from error
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return
    machine = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
    made_for = ELF_MACHINES.get(machine, f"machine {machine}")
    if made_for != abi:
        raise UsageError(
            f"--benchmark-binary expects a tool for the phone's ABI, {abi}. Received: {path}, made "
            f"for {made_for}. Next: build it for {abi}"
            + (", or give --fetch-benchmark-binary." if abi == PREBUILT_ABI else ".")
        )


def fetch_tool(abi: str, folder: Path | None = None) -> Path:
    """LiteRT's prebuilt tool for an ABI, downloaded once into the cache folder.

    Args:
        abi: ABI of the phone.
        folder: Folder of the download. None takes edgebert's cache folder.

    Raises:
        UsageError: LiteRT publishes no tool for the ABI.
        EdgebertError: The download failed. The message explains the manual download.
    """
    if abi != PREBUILT_ABI:
        raise UsageError(
            f"LiteRT publishes benchmark_model for {PREBUILT_ABI}. Received: a phone of {abi}. "
            "Next: build it from LiteRT's sources and give --benchmark-binary PATH."
        )
    url = PREBUILT.format(version=LITERT_VERSION)
    folder = cache_folder() if folder is None else folder
    path = folder / f"benchmark_model-{LITERT_VERSION}-{abi}"
    if path.is_file():
        return path
    by_hand = f"Next: download it by hand and give --benchmark-binary PATH: {url}"
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as response:
            data = response.read()
    except (OSError, urllib.error.URLError) as error:
        raise EdgebertError(f"benchmark_model can't be downloaded: {error}. {by_hand}") from error
    if data[:4] != b"\x7fELF":
        raise EdgebertError(
            f"An Android program was expected. Received: {len(data)} bytes that begin with "
            f"{data[:16]!r}. {by_hand}"
        )
    return atomic_write(path, data)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
