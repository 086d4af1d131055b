"""Settings of the `.tflite` file."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


@dataclass(frozen=True)
class ExportSettings:
    """How the `.tflite` is laid out."""

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
        "Precision of the embedding tables; 'recipe' takes what the recipe says.",
        ("recipe", "float32", "float16", "int8", "int4"),
    )
    lengths: str = setting(
        "",
        "Token lengths, one signature each, such as 16,32,64,128 (what empty means, up to the "
        "model's longest); 'auto' picks them from the texts of --lengths-from.",
    )
    length: int = setting(0, "One fixed token length instead of --lengths.")
    dynamic_length: bool = setting(False, "One signature with a free length instead of --lengths.")
    max_signatures: int = setting(8, "Most signatures that '--lengths auto' may make.")
    max_length: int = setting(0, "Longest length to export; 0 takes the model's own.")
    masks: int = setting(8, "masked-lm: [MASK] tokens of a text that the file answers, the first.")
    output: str = setting("probabilities", "What a classifier gives.", ("probabilities", "logits"))
    max_drop: float = setting(
        100.0,
        "Write nothing and exit with 3 where more points of the task's metric are lost on --data.",
    )
    int4_share: float = setting(
        0.75,
        "Largest share of the kernels' weights in 4 bits (int4); those that the outputs depend on "
        "most stay in int8.",
    )
    int4_block: int = setting(
        0,
        "Inputs of a kernel that share a scale (int4): 0 for one scale an output, which is fastest "
        "and runs on older runtimes too; 64 is nearer to float, slower, and needs LiteRT 2.1.",
    )
    max_error: float = setting(
        0.0,
        "Largest error of the outputs on the calibration text, squared error over squared signal "
        "(int4, static-*): what outputs depend on most is kept finer; 0 takes the recipe's own.",
    )
    calibration_rows: int = setting(256, "Calibration texts to draw (int4, static-*).")
    calibration_seed: int = setting(42, "Seed of the calibration texts.")
