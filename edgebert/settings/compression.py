"""Settings of pruning, vocabulary trimming and search."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


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
