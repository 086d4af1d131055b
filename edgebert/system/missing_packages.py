"""The install command of a package that is not installed.

edgebert has two distributions with the same code: `edgebert`, and `edgebert-runtime` without
TensorFlow, Keras and matplotlib.
"""

from __future__ import annotations

from importlib import metadata

from edgebert.errors import MissingExtraError

WHOLE, RUNTIME = "edgebert", "edgebert-runtime"

HEAVY = ("h5py", "keras", "keras_hub", "tensorflow", "tensorflow_model_optimization", "tf_keras")
"""Modules that only `edgebert` depends on, and that are useful together only."""

PACKAGES = {
    "ai_edge_litert": "'ai-edge-litert>=2.2,<3'",
    "ai_edge_quantizer": "'edgebert[static]'",
    "click": "'click>=8.2.1,<9'",
    "cryptography": "'edgebert[https]'",
    "flatbuffers": "flatbuffers",
    "huggingface_hub": "'edgebert[hub]'",
    "matplotlib": "'matplotlib>=3.8,<4'",
    "numpy": "'numpy>=1.26,<3'",
    "packaging": "packaging",
    "rich": "'rich>=13.7,<17'",
    "safetensors": "'safetensors>=0.5,<1'",
    "segno": "'segno>=1.6,<2'",
    "tokenizers": "'tokenizers>=0.21.4,<1'",
}
"""What pip installs for a module."""


def distribution() -> str:
    """The name of the installed distribution; `edgebert` if it runs from its sources."""
    for name in (WHOLE, RUNTIME):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return WHOLE


def install_whole() -> str:
    """The command that brings TensorFlow and Keras."""
    if distribution() == RUNTIME:
        return f"pip uninstall --yes {RUNTIME} && pip install {WHOLE}"
    return f"pip install {WHOLE}"


def missing_package(error: ImportError) -> MissingExtraError | None:
    """The error for a user whose installation lacks a package.

    Args:
        error: What the import raised.

    Returns:
        the error with the command that mends it; None if edgebert does not use this package.
    """
    module = (error.name or "").partition(".")[0]
    if module in HEAVY:
        return MissingExtraError(
            f"This needs TensorFlow, Keras and keras-hub. Received: no {module} is installed. "
            f"Next: {install_whole()}"
        )
    if module in PACKAGES:
        return MissingExtraError(
            f"Expected the package {module.replace('_', '-')}. Received: it is not installed. "
            f"Next: pip install {PACKAGES[module]}"
        )
    return None
