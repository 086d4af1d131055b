"""Every default of every stage, as frozen dataclasses. No TensorFlow may enter here.

One field is one setting: its name is the TOML key, the Python argument and (with dashes) the
command-line flag, and its `help` is the text of all three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from converters.heads import POOLINGS
from edgebert.errors import UsageError

S = TypeVar("S")


def setting(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with the help text and the choices that the command line shows."""
    return dataclasses.field(default=default, metadata={"help": help, "choices": choices})


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
class DataSettings:
    """Where text and labels stand in a data file."""

    text_column: str = setting(
        "",
        "Column (or JSON key) of the text; found by name when empty. Of words in CoNLL columns its "
        "number, from 1.",
    )
    pair_column: str = setting(
        "", "Column (or JSON key) of a pair's second text; found by name when empty."
    )
    label_column: str = setting(
        "",
        "Column (or JSON key) of the label; found by name when empty. Of tags in CoNLL columns its "
        "number, from 1.",
    )
    label_separator: str = setting("|", "What divides several labels in one column.")


TASKS = (
    "classification",
    "pairs",
    "multi-label",
    "regression",
    "ner",
    "pos",
    "qa",
    "embeddings",
    "masked-lm",
)
"""The names of the tasks, one class each in `edgebert.tasks`."""


@dataclass(frozen=True)
class TaskSettings:
    """What a model is to do. Settings that the task does not have are not looked at."""

    task: str = setting(
        "auto",
        "What the model is to do; 'auto' sees it in the base model and the training file.",
        ("auto", *TASKS),
    )
    stride: int = setting(
        128, "qa: tokens from one window over a long context to the next (Devlin et al. 2019)."
    )
    max_answer_tokens: int = setting(30, "qa: longest answer, in tokens.")
    max_question_tokens: int = setting(64, "qa: longer questions are cut to so many tokens.")
    labelled_parts: str = setting(
        "all",
        "ner, pos: where a word has punctuation inside, such as don't, learn its tag for all its "
        "parts, as typed text is split into them, or for the first alone (Devlin et al. 2019).",
        ("all", "first"),
    )
    next_sentence: str = setting(
        "auto",
        "masked-lm: also learn whether a second text follows the first; 'auto' does where the text "
        "has documents.",
        ("auto", "on", "off"),
    )
    mask_share: float = setting(0.15, "masked-lm: share of the tokens that are hidden.")
    whole_words: bool = setting(False, "masked-lm: hide whole words instead of tokens.")
    threshold: float = setting(
        0.0,
        "multi-label: least probability of a label that is given; 0 chooses the one that is best "
        "on the dev text.",
    )
    pooling: str = setting(
        "mean",
        "embeddings: what is made of a text's tokens. A base that makes vectors already keeps its "
        "own way.",
        POOLINGS,
    )
    normalize: bool = setting(True, "embeddings: give vectors length 1. As for pooling.")


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


@dataclass(frozen=True)
class PruneSettings:
    """Magnitude pruning with recovery fine-tuning (Zhu and Gupta 2017; N:M as in Mishra 2021)."""

    method: str = setting("magnitude", "What the mask is made of.", ("magnitude", "n-m"))
    sparsity: float = setting(0.5, "Share of zeros at the end (magnitude).")
    pattern: str = setting("2:4", "Non-zeros kept in each group along the inputs (n-m).")
    schedule: str = setting(
        "polynomial", "How the sparsity grows over the steps.", ("polynomial", "constant")
    )
    initial_sparsity: float = setting(0.0, "Sparsity at the first pruned step (polynomial).")
    begin: float = setting(0.0, "Share of the steps before pruning starts.")
    end: float = setting(0.6, "Share of the steps at which the final sparsity is reached.")
    frequency: int = setting(25, "Steps between two updates of the masks.")
    include_embeddings: bool = setting(False, "Prune the embedding tables too.")
    include_head: bool = setting(False, "Prune the pooler and the classifier too.")
    epochs: int = setting(2, "Passes of recovery fine-tuning; 0 masks once and trains nothing.")
    batch_size: int = setting(32, "Rows a step.")
    learning_rate: float = setting(5e-5, "Peak learning rate of the recovery.")
    max_rows: int = setting(0, "Train on so many random rows; 0 takes all.")
    seed: int = setting(42, "Seed of the shuffling and the dropout.")


@dataclass(frozen=True)
class VocabularySettings:
    """Vocabulary trimming: which rows of the embedding table stay."""

    min_count: int = setting(1, "Times that the corpus must use a token to keep it.")
    keep_tokens: int = setting(
        0,
        "Tokens to keep in all; 0 keeps what the corpus uses and what spells everything else.",
    )
    fill: str = setting(
        "likeness",
        "What --keep-tokens takes beyond the corpus's own tokens: those that the embedding table "
        "says are like them, or the first of the vocabulary, which in BERT's are the most frequent "
        "ones.",
        ("likeness", "frequency"),
    )
    characters: str = setting(
        "all",
        "Single characters that stay in any case: all, so that no text becomes unknown, or those "
        "of ASCII, signs and the corpus's scripts.",
        ("all", "scripts"),
    )
    common_pieces: int = setting(
        256, "Pieces such as '##ing' that stay in any case: so many, the vocabulary's first."
    )


@dataclass(frozen=True)
class StructureSettings:
    """Structured pruning with no training (van der Ouderaa et al. 2023; Kwon et al. 2022)."""

    target_speedup: float = setting(
        0.0, "Take out heads and neurons until the model is so many times faster, such as 2.5."
    )
    heads: int = setting(0, "Keep so many heads a layer on average; 0 keeps all.")
    neurons: int = setting(0, "Keep so many feed-forward neurons a layer on average; 0 keeps all.")
    layers: int = setting(0, "Keep so many layers; 0 keeps all.")
    layer_choice: str = setting(
        "importance", "Which layers stay.", ("importance", "first", "last", "alternate")
    )
    calibration_rows: int = setting(1024, "Random training texts that the prices are measured on.")
    shots: int = setting(3, "Steps in which heads and neurons go, prices measured anew in each.")
    tokens: int = setting(
        0, "Text length of the latencies, in tokens; 0 takes the calibration text's median."
    )
    latency_table: str = setting(
        "", "JSON of latencies by width, measured on the target; measured here when empty."
    )
    seed: int = setting(42, "Seed of the calibration sample.")


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


@dataclass(frozen=True)
class SearchSettings:
    """What a search tries, what it may cost, and what the result may cost."""

    max_size: str = setting("", "Largest file, such as 8MB.")
    max_latency: str = setting(
        "",
        "Longest time from text to answer on this machine: milliseconds such as 3.5, or a share of "
        "the unpruned dynamic-int8 file's such as 0.22x.",
    )
    max_drop: float = setting(
        100.0,
        "Most points of the task's metric on the dev data to lose against the float model; 100 is "
        "no limit.",
    )
    speedups: str = setting("2,3,4.5,6,9", "Speedups that structured pruning aims at.")
    vocabulary: str = setting("both", "Vocabularies to try.", ("both", "whole", "trimmed"))
    embeddings: str = setting("int8,int4", "Precisions of the embedding rows to try.")
    distill_epochs: int = setting(
        4, "Passes over the training rows when a pruned model learns; 0 trains nothing."
    )
    max_rows: int = setting(0, "Distill on so many random rows; 0 takes all.")
    refine: int = setting(
        1, "Further speedups to distill, between one that meets --max-drop and one that misses it."
    )
    tokens: int = setting(
        0, "Text length of the latencies, in tokens; 0 takes random dev texts and their median."
    )
    latency_texts: int = setting(48, "Dev texts that latencies are measured on.")
    max_candidates: int = setting(48, "Most files to export.")
    max_minutes: float = setting(
        0.0, "Begin no further trial after so many minutes of trials; 0 is no limit."
    )
    seed: int = setting(42, "Seed of the samples and of the distillation.")


@dataclass(frozen=True)
class ProfileSettings:
    """How latency is measured."""

    threads: tuple[int, ...] = setting((1,), "Thread counts to sweep.")
    lengths: tuple[int, ...] = setting((), "Token lengths to time; all of the file's when empty.")
    warmup_runs: int = setting(10, "Calls before the clock counts.")
    min_runs: int = setting(50, "Fewest timed calls.")
    max_seconds: float = setting(10.0, "Longest time a model and configuration.")
    end_to_end: bool = setting(True, "Also time text in, answer out.")
    operations: bool = setting(
        False, "Also time each operation of the graph, by layer, and the tokenizer's share."
    )
    sustained_seconds: float = setting(
        0.0, "Also run without a pause for so long, to see the curve of the latency; 0 does not."
    )
    cold_start: bool = setting(
        False,
        "Also time starts with and without XNNPACK's weight cache on disk, and tell weights from "
        "tensors in memory.",
    )


@dataclass(frozen=True)
class TargetSettings:
    """What only some targets look at; the flag's help names the target."""

    bootstrap: bool = setting(
        False, "ssh: make a virtual environment with ai-edge-litert on the board where it has none."
    )
    remote_python: str = setting("", "ssh: the board's Python; found when empty.")
    ssh_config: str = setting(
        "", "ssh: configuration file instead of ~/.ssh/config, as of `ssh -F`."
    )
    benchmark_binary: str = setting(
        "", "adb: TensorFlow's benchmark_model, a file here or (with a leading /data) on the phone."
    )
    fetch_benchmark_binary: bool = setting(
        False, "adb: download LiteRT's prebuilt benchmark_model for the phone's ABI."
    )
    app: bool = setting(False, "adb: measure in the demo app, from text to answer.")
    delegate: str = setting(
        "cpu", "adb, cloud: where the graph runs on the phone.", ("cpu", "gpu", "nnapi")
    )
    cpu_mask: str = setting(
        "", "cpu, ssh, adb: the cores to run on, as taskset's mask in hex, such as f0."
    )
    litertjs: str = setting(
        "", "browser: folder of @litertjs/core; fetched once through npm when empty."
    )
    arm64_root: str = setting(
        "",
        "qemu-arm64: folder of an arm64 Linux whose Python has numpy and ai-edge-litert; made once "
        "when empty.",
    )
    lan: bool = setting(
        False, "browser: be reachable from the network, not from this machine only."
    )
    https: bool = setting(
        False, "browser: serve over TLS with a certificate of our own, so that threads work."
    )
    port: int = setting(0, "browser: the port to listen on; 0 takes a free one.")
    webgpu: bool = setting(False, "browser: run on WebGPU instead of wasm.")
    phones: int = setting(1, "browser: wait for the results of so many devices.")
    wait_seconds: float = setting(600.0, "browser: give up after so long without a result.")


def broken_rules(settings: Any, rules: Iterable[tuple[str, bool, str]]) -> list[str]:
    """What is wrong with settings.

    Args:
        settings: a dataclass of this module.
        rules: name of a field, whether the rule holds, and what is expected of the field.
    """
    return [
        f"{name}: expected {expected}. Received: {getattr(settings, name)}"
        for name, holds, expected in rules
        if not holds
    ]


def from_table(kind: type[S], table: dict[str, Any], where: str) -> S:
    """Makes settings from a TOML table or a dict of flags.

    Raises:
        UsageError: unknown keys, values of another type, values that are no choice; all at once.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    problems, values = [], {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in fields:
            problems.append(f"'{key}' is not a setting of {where}; known: {', '.join(fields)}")
            continue
        try:
            values[name] = _checked(fields[name], value)
        except ValueError as error:
            problems.append(f"'{key}' {error}")
    if problems:
        raise UsageError(f"{where}: " + "; ".join(problems))
    return kind(**values)


def _checked(field: dataclasses.Field[Any], value: Any) -> Any:
    default, choices = field.default, field.metadata["choices"]
    if isinstance(default, tuple):
        items = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            raise ValueError(f"takes whole numbers. Received: {value!r}")
        return tuple(items)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"takes a {type(default).__name__}. Received: {value!r}")
    if choices and value not in choices:
        raise ValueError(f"is one of {', '.join(choices)}. Received: {value!r}")
    return value
