"""Settings of pruning, vocabulary trimming and search."""

from __future__ import annotations

from dataclasses import dataclass

from edgebert.settings.fields import setting


@dataclass(frozen=True)
class PruneSettings:
    """Magnitude pruning with recovery fine-tuning (Zhu and Gupta 2017; N:M as in Mishra 2021)."""

    method: str = setting(
        "magnitude", "Pruning method: by weight magnitude, or an N:M pattern.", ("magnitude", "n-m")
    )
    sparsity: float = setting(0.5, "Final share of zero weights (magnitude).")
    pattern: str = setting("2:4", "Non-zero weights of each group of inputs, such as 2:4 (n-m).")
    schedule: str = setting(
        "polynomial", "Growth of the sparsity over the training steps.", ("polynomial", "constant")
    )
    initial_sparsity: float = setting(0.0, "Sparsity at the first pruning step (polynomial).")
    begin: float = setting(0.0, "Share of the training steps before pruning starts.")
    end: float = setting(
        0.6, "Share of the training steps after which the final sparsity is reached."
    )
    frequency: int = setting(25, "Training steps between two mask updates.")
    include_embeddings: bool = setting(False, "Also prune the embedding tables.")
    include_head: bool = setting(False, "Also prune the pooler and the classifier.")
    epochs: int = setting(2, "Epochs of recovery training; 0 prunes once without training.")
    batch_size: int = setting(32, "Training rows per step.")
    learning_rate: float = setting(5e-5, "Peak learning rate of the recovery training.")
    max_rows: int = setting(0, "Train on this many random rows; 0 uses all rows.")
    seed: int = setting(42, "Seed of the shuffling and the dropout.")


@dataclass(frozen=True)
class VocabularySettings:
    """Vocabulary trimming: selects the rows of the embedding table to keep."""

    min_count: int = setting(
        1, "Minimum number of occurrences in the corpus for a token to be kept."
    )
    keep_tokens: int = setting(
        0,
        "Total number of tokens to keep; 0 keeps the tokens of the corpus and the pieces needed to "
        "spell any other word.",
    )
    fill: str = setting(
        "likeness",
        "Tokens that --keep-tokens adds to those of the corpus: their nearest neighbours in the "
        "embedding table, or the first tokens of the vocabulary (in BERT's, the most frequent).",
        ("likeness", "frequency"),
    )
    characters: str = setting(
        "all",
        "Single characters that are always kept: all, so that no text becomes [UNK], or only "
        "ASCII, punctuation and the scripts of the corpus.",
        ("all", "scripts"),
    )
    common_pieces: int = setting(
        256, "Number of word pieces such as '##ing' that are always kept, the vocabulary's first."
    )


@dataclass(frozen=True)
class StructureSettings:
    """Structured pruning without training (van der Ouderaa et al. 2023; Kwon et al. 2022)."""

    target_speedup: float = setting(
        0.0,
        "Remove attention heads and neurons until the model is this many times faster, such as "
        "2.5.",
    )
    heads: int = setting(0, "Attention heads to keep, per layer on average; 0 keeps all.")
    neurons: int = setting(0, "Feed-forward neurons to keep, per layer on average; 0 keeps all.")
    layers: int = setting(0, "Layers to keep; 0 keeps all.")
    hidden_size: int = setting(
        0,
        "Width of the hidden states to keep, a multiple of the size of a head; 0 keeps all. Each "
        "layer then has at most as many heads as fit into it.",
    )
    layer_choice: str = setting(
        "importance",
        "How the layers to keep are chosen.",
        ("importance", "first", "last", "alternate"),
    )
    calibration_rows: int = setting(
        1024, "Number of random training texts for the importance scores."
    )
    shots: int = setting(3, "Pruning steps; the importance scores are measured again in each.")
    tokens: int = setting(
        0, "Text length of the latencies, in tokens; 0 uses the median of the calibration texts."
    )
    latency_table: str = setting(
        "", "JSON file of latencies by layer width, measured on the target; empty measures here."
    )
    seed: int = setting(42, "Seed of the calibration sample.")


@dataclass(frozen=True)
class SearchSettings:
    """Search space, search budget and limits of the result."""

    max_size: str = setting("", "Maximum file size, such as 8MB.")
    max_latency: str = setting(
        "",
        "Maximum latency from text to answer on this machine: milliseconds such as 3.5, or a share "
        "of the latency of the unpruned dynamic-int8 file, such as 0.22x.",
    )
    max_drop: float = setting(
        100.0,
        "Maximum loss against the float model on unseen text, in points of the task's metric; 100 "
        "is no limit. The part of the dev data that confirms has to show it.",
    )
    confirm_fraction: float = setting(
        0.5,
        "Share of the dev data on which no choice is made. It confirms the loss of the files of "
        "the front; 0 holds --max-drop to the data that chose them, which is optimistic.",
    )
    confidence: float = setting(
        0.9,
        "Probability with which the winner's loss on unseen text is within --max-drop. 0.5 holds "
        "the confirmed loss itself to it.",
    )
    speedups: str = setting("2,3,4.5,6,9", "Target speedups of structured pruning to try.")
    hidden_sizes: str = setting(
        "",
        "Hidden sizes to try with each of these speedups, such as 256,192; empty keeps the width "
        "of the hidden states.",
    )
    second_speedups: str = setting(
        "1.5,2",
        "Speedups of a second pruning of the best distilled model, against that model; empty "
        "prunes once. With a latency budget, one speedup that meets it is tried instead.",
    )
    vocabulary: str = setting("both", "Vocabularies to try.", ("both", "whole", "trimmed"))
    token_shares: str = setting(
        "0.5,0.25",
        "Shares of the vocabulary to keep, to try for the best models. With a size budget, the "
        "number of tokens that just meets it is tried instead.",
    )
    embeddings: str = setting("int8,int4", "Precisions of the embedding table to try.")
    recipes: str = setting(
        "dynamic-int8,int4",
        "Recipes to try; int4 for the best model only, and only if its size matters.",
    )
    distill_epochs: int = setting(
        4,
        "Epochs of the first round of distillation for each promising pruned model; 0 trains "
        "nothing.",
    )
    rounds: int = setting(
        3,
        "Maximum number of rounds of distillation. Each further round takes half of the models, "
        "and for text classification more changed copies of the texts.",
    )
    max_rows: int = setting(0, "Distill on this many random rows; 0 uses all rows.")
    refine: int = setting(
        1,
        "Number of further speedups to try between one that meets --max-drop and one that does "
        "not.",
    )
    tokens: int = setting(
        0,
        "Text length of the latencies, in tokens; 0 measures random dev texts and takes the "
        "median.",
    )
    latency_texts: int = setting(48, "Number of dev texts for the latency measurement.")
    max_candidates: int = setting(96, "Maximum number of files to export.")
    max_time: str = setting(
        "",
        "Time budget of the whole search, such as 90s, 45m or 2h, with the final measurements and "
        "the time before a --resume; empty is no limit. Steps that would not end in time are left "
        "out.",
    )
    seed: int = setting(42, "Seed of the sampling and of the distillation.")
