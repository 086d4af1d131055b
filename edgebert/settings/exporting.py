"""Settings of the `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


@dataclass(frozen=True)
class CheckSettings:
    """What `edgebert run` compares and writes into the manifest of a file."""

    check_texts: int = setting(
        0,
        "Number of dev texts, from the first, for the comparison with the Keras model; 0 takes "
        "varied built-in texts.",
    )
    quality: bool = setting(True, "Write the metrics on the dev rows into the manifest.")
    sha256: str = setting("", "Expected SHA-256 of the file; the report says whether it is equal.")


@dataclass(frozen=True)
class ExportSettings:
    """Weight precision, signatures and outputs of the `.tflite`."""

    recipe: str = setting(
        "dynamic-int8",
        "Precision of the weights.",
        (
            "float32",
            "float16",
            "dynamic-int8",
            "weight-int8",
            "int4",
            "static-int8",
            "static-int16x8",
        ),
    )
    embedding: str = setting(
        "recipe",
        "Precision of the embedding tables; 'recipe' uses that of the recipe.",
        ("recipe", "float32", "float16", "int8", "int4"),
    )
    lengths: str = setting(
        "",
        "Token lengths such as 16,32,64,128, one signature each; 'auto' chooses them for the texts "
        "of --lengths-from. Empty uses the default of the task, up to the model's maximum length.",
    )
    length: int = setting(0, "Export one signature of this token length; 0 uses --lengths.")
    dynamic_length: bool = setting(
        False, "Export one signature for any token length, instead of --lengths."
    )
    max_signatures: int = setting(8, "Maximum number of signatures for '--lengths auto'.")
    max_length: int = setting(
        0, "Maximum token length to export; 0 uses the model's maximum length."
    )
    masks: int = setting(
        8, "masked-lm: maximum number of [MASK] tokens per text that get predictions."
    )
    dimensions: int = setting(
        0,
        "embeddings: make vectors of this many values, and normalize them again; 0 keeps all.",
    )
    dimensions_by: str = setting(
        "first",
        "How --dimensions makes vectors shorter: the first values (Matryoshka embeddings), or a "
        "projection to the principal directions of the vectors of --calibration (pca).",
        ("first", "pca"),
    )
    output: str = setting("probabilities", "Outputs of a classifier.", ("probabilities", "logits"))
    max_drop: float = setting(
        100.0,
        "Maximum loss on --data against the model before export, in points of the task's metric; "
        "beyond it no file is written and the exit code is 3.",
    )
    int4_share: float = setting(
        0.75,
        "Maximum share of kernel weights in 4 bits (int4); the kernels that the outputs are most "
        "sensitive to stay in int8.",
    )
    int4_block: int = setting(
        0,
        "Inputs of a kernel that share one scale (int4). 0 is one scale per output: fastest, and "
        "runs on older runtimes. 64 is more accurate, slower, and needs LiteRT 2.1.",
    )
    max_error: float = setting(
        0.0,
        "Maximum error of the outputs on the calibration texts, as squared error over squared "
        "signal (int4, static-*). The most sensitive parts get a higher precision until the error "
        "is below it; 0 uses the recipe's default.",
    )
    calibration_rows: int = setting(256, "Number of calibration texts (int4, static-*).")
    calibration_seed: int = setting(42, "Seed of the calibration sample.")
