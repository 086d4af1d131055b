"""Settings of a training run: devices, fine-tuning, distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebert.settings.fields import setting


def _precision() -> Any:
    return setting(
        "float32",
        "Number format of the training step; weights stay in float32.",
        ("float32", "bfloat16", "float16"),
    )


def _quantization_aware() -> Any:
    return setting(
        "none",
        "Quantization-aware training: round kernels and embeddings to this precision and "
        "activations to int8 while training, so that the quantized file loses less accuracy.",
        ("none", "int8", "int4"),
    )


@dataclass(frozen=True)
class DeviceSettings:
    """Devices of a training run. The batch size is the total over all devices."""

    strategy: str = setting(
        "none",
        "Split each batch over all devices of this machine (mirrored), or over the hosts that "
        "TF_CONFIG lists (multi-worker).",
        ("none", "mirrored", "multi-worker"),
    )
    worker_wait_seconds: float = setting(
        300.0, "multi-worker: time limit for the other hosts to answer, in seconds."
    )


@dataclass(frozen=True)
class FinetuneSettings:
    """Fine-tuning with AdamW, warm-up and linear decay (Devlin et al. 2019, appendix A.3)."""

    epochs: int = setting(3, "Number of passes over the training rows.")
    batch_size: int = setting(32, "Training rows per step.")
    learning_rate: float = setting(5e-5, "Peak learning rate.")
    warmup_ratio: float = setting(
        0.1, "Share of the training steps in which the learning rate rises."
    )
    weight_decay: float = setting(0.01, "Weight decay of AdamW; biases and LayerNorm have none.")
    clip_norm: float = setting(1.0, "Maximum global norm of the gradients.")
    dropout: float = setting(0.1, "Dropout rate of hidden states, attention and head.")
    max_length: int = setting(
        0, "Maximum text length in tokens, with [CLS] and [SEP]; 0 uses the task's default."
    )
    class_weights: str = setting(
        "none",
        "Class weights in the loss: none, or the inverse frequency of each class.",
        ("none", "balanced"),
    )
    patience: int = setting(
        2, "Stop after this many epochs without a better dev score; 0 never stops early."
    )
    precision: str = _precision()
    quantization_aware: str = _quantization_aware()
    max_rows: int = setting(0, "Train on this many random rows; 0 uses all rows.")
    dev_fraction: float = setting(
        0.1, "Share of the training rows that is held out if there is no dev file."
    )
    seed: int = setting(42, "Seed of the head's initial weights, the shuffling and the dropout.")


@dataclass(frozen=True)
class DistillSettings:
    """Distillation of a teacher into a student."""

    method: str = setting(
        "hidden-states",
        "Training targets in addition to the teacher's soft labels.",
        ("soft-labels", "hidden-states", "distilbert", "tinybert", "minilm"),
    )
    temperature: float = setting(
        2.0, "Temperature of the softmax in the soft-label loss; higher is softer."
    )
    hard_weight: float = setting(0.1, "Weight of the true labels in the loss, from 0 to 1.")
    epochs: int = setting(4, "Number of passes over the training rows.")
    batch_size: int = setting(32, "Training rows per step.")
    learning_rate: float = setting(2e-4, "Peak learning rate.")
    warmup_ratio: float = setting(
        0.1, "Share of the training steps in which the learning rate rises."
    )
    dropout: float = setting(0.0, "Dropout rate of hidden states, attention and head.")
    max_length: int = setting(
        0, "Maximum text length in tokens; 0 uses the student's maximum length."
    )
    precision: str = _precision()
    quantization_aware: str = _quantization_aware()
    augment: int = setting(
        0,
        "Number of augmented copies of each text (words masked, replaced by similar words, split "
        "or dropped), which the teacher labels.",
    )
    max_rows: int = setting(0, "Train on this many random rows; 0 uses all rows.")
    seed: int = setting(42, "Seed of a new head's weights, the shuffling and the dropout.")
