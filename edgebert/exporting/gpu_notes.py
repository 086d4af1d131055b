"""Notes of an export on what a GPU does not take: see docs/on-device.md."""

from __future__ import annotations

from pathlib import Path

from edgebert.models.gpu_support import gpu_support_of
from edgebert.models.manifest import Manifest


def gpu_notes_of(path: Path, manifest: Manifest) -> tuple[str, ...]:
    """Notes on the parts of an exported file that a GPU does not take; empty if it takes all.

    Args:
        path: the file.
        manifest: its manifest.
    """
    if not manifest.lengths:
        return (
            "A GPU does not take this file: its length is free. For a GPU, export with --lengths.",
        )
    support = gpu_support_of(path)
    notes = [
        f"LiteRT.js does not run this file on a GPU: {fault}. For a GPU, export with {options}."
        for fault, options in support.faults.items()
    ]
    if support.on_cpu and not support.faults:
        named = ", ".join(f"{count} {name}" for name, count in support.on_cpu.items())
        notes.append(
            f"A GPU leaves these operators of each signature to the CPU: {named}. For the whole "
            "graph on a GPU, export with --recipe float32, float16 or dynamic-int8."
        )
    return tuple(notes)
