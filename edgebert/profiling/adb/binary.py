"""The `benchmark_model` program itself: LiteRT's prebuilt one, and which processor one is for."""

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
"""Android's names of what an ELF file's `e_machine` says it is made for."""


def refuse_other_abi(path: Path, abi: str) -> None:
    """Looks into the tool's file whether the phone can run it; scripts are left alone.

    Raises:
        UsageError: it is made for another processor, or is missing.
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
    """LiteRT's prebuilt tool for an ABI, downloaded once into our cache.

    Args:
        abi: the phone's.
        folder: where it is kept; edgebert's cache when None.

    Raises:
        UsageError: LiteRT publishes none for the ABI.
        EdgebertError: the download failed; with how to do it by hand.
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
    """Of a file's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
