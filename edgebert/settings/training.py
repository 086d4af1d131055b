"""Settings of a training run: devices, fine-tuning, distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebert.settings.fields import setting


def _precision() -> Any:
    return setting(
        "float32",
        "Arithmetic of the training step; weights stay in float32.",
        ("float32", "bfloat16", "float16"),
    )


def _quantization_aware() -> Any:
    return setting(
        "none",
        "Train with kernels and embedding rows rounded to so many bits and activations to 8, so "
        "that rounding them in the file costs less.",
        ("none", "int8", "int4"),
    )


@dataclass(frozen=True)
class DeviceSettings:
    """Where a training run computes. The batch size stays that of all devices together."""

    strategy: str = setting(
        "none",
        "Share each batch among all devices of this machine (mirrored), or among the hosts that "
        "TF_CONFIG names (multi-worker).",
        ("none", "mirrored", "multi-worker"),
    )
    worker_wait_seconds: float = setting(
        300.0, "multi-worker: give up when other hosts have not answered for so long."
    )


@dataclass(frozen=True)
class FinetuneSettings:
    """Fine-tuning with AdamW, warm-up and linear decay (Devlin et al. 2019, appendix A.3)."""

    epochs: int = setting(3, "Passes over the training rows.")
    batch_size: int = setting(32, "Rows a step.")
    learning_rate: float = setting(5e-5, "Peak learning rate.")
    warmup_ratio: float = setting(0.1, "Share of the steps in which the learning rate rises.")
    weight_decay: float = setting(0.01, "AdamW's weight decay (biases and LayerNorm left out).")
    clip_norm: float = setting(1.0, "Largest global norm of a gradient.")
    dropout: float = setting(0.1, "Dropout of hidden states, attention and head.")
    max_length: int = setting(
        0, "Longest text in tokens, [CLS] and [SEP] included; 0 takes the task's default."
    )
    class_weights: str = setting(
        "none", "Weigh classes by their inverse frequency.", ("none", "balanced")
    )
    patience: int = setting(2, "Stop after so many epochs with no better dev score; 0 never stops.")
    precision: str = _precision()
    quantization_aware: str = _quantization_aware()
    max_rows: int = setting(0, "Train on so many random rows; 0 takes all.")
    dev_fraction: float = setting(
        0.1, "Share of the training rows held out when no dev file is given."
    )
    seed: int = setting(42, "Seed of the head, the shuffling and the dropout.")


@dataclass(frozen=True)
class DistillSettings:
    """Distillation: what a student learns of its teacher, and for how long."""

    method: str = setting(
        "hidden-states",
        "What is learnt beside the soft labels.",
        ("soft-labels", "hidden-states", "distilbert", "tinybert", "minilm"),
    )
    temperature: float = setting(2.0, "Softens the teacher's probabilities.")
    hard_weight: float = setting(0.1, "Share of the loss that the true labels have.")
    epochs: int = setting(4, "Passes over the training rows.")
    batch_size: int = setting(32, "Rows a step.")
    learning_rate: float = setting(2e-4, "Peak learning rate.")
    warmup_ratio: float = setting(0.1, "Share of the steps in which the learning rate rises.")
    dropout: float = setting(0.0, "Dropout of hidden states, attention and head.")
    max_length: int = setting(0, "Longest text in tokens; 0 takes the student's own.")
    precision: str = _precision()
    quantization_aware: str = _quantization_aware()
    augment: int = setting(
        0,
        "Changed copies of each text (words masked, replaced by like ones, split, dropped), "
        "which the teacher labels too.",
    )
    max_rows: int = setting(0, "Train on so many random rows; 0 takes all.")
    seed: int = setting(42, "Seed of a new head, the shuffling and the dropout.")
