"""The result of `edgebert prune` as JSON, tables and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgebert.pruning import PruneResult
from edgebert.pruning.recovery import RecoveryResult
from edgebert.reporting.tables import Table
from edgebert.reporting.units import metric_text, metric_words, ratio_text, share_text, size_text
from edgebert.training.record import TrainingResult

FEW_SAME_TEXTS = 0.75
"""A warning is given if a smaller share of the dev texts keeps its tokens."""


@dataclass(frozen=True)
class PruneSummary:
    """What `edgebert prune` prints.

    Attributes:
        content: The result, ready for JSON.
        table: One row per layer or per pruned array.
        summary: One line below the table.
        warning: A warning with the next step; empty if there is none.
    """

    content: dict[str, Any]
    table: Table
    summary: str
    warning: str = ""


def describe(result: TrainingResult) -> PruneSummary:
    """Describes the result of structured pruning or of magnitude pruning.

    Raises:
        TypeError: The result is of another stage.
    """
    if isinstance(result, RecoveryResult):
        return PruneSummary(
            _structure_json(result),
            _structure_table(result),
            _structure_summary(result),
            _trimming_warning(result),
        )
    if isinstance(result, PruneResult):
        return PruneSummary(_weights_json(result), _weights_table(result), _weights_summary(result))
    raise TypeError(f"Expected a result of pruning. Received: {type(result).__name__}.")


def _structure_json(result: RecoveryResult) -> dict[str, Any]:
    """The result of structured pruning, ready for JSON."""
    return {
        "path": str(result.out),
        "metrics": result.metrics,
        "untrained_metrics": result.structure["metrics"],
        "structure": result.structure,
        "vocabulary": result.trimmed,
        "best_epoch": result.best_epoch,
        "epochs": list(result.epochs),
    }


def _weights_json(result: PruneResult) -> dict[str, Any]:
    """The result of magnitude pruning, ready for JSON."""
    return {
        "path": str(result.out),
        "metrics": result.metrics,
        "sparsity": result.sparsity,
        "layers": [vars(layer) for layer in result.layers],
        "kernel_gzip_bytes": {
            "before": result.kernel_gzip_bytes_before,
            "after": result.kernel_gzip_bytes_after,
        },
        "best_epoch": result.best_epoch,
        "epochs": list(result.epochs),
        "steps": result.steps,
    }


def _structure_table(result: RecoveryResult) -> Table:
    """The remaining heads and neurons of each layer."""
    rows = tuple(
        (str(i), str(width["heads"]), str(width["neurons"]))
        for i, width in enumerate(result.structure["widths"])
    )
    return Table(str(result.out), ("layer", "heads", "neurons"), rows)


def _structure_summary(result: RecoveryResult) -> str:
    """The effect of structured pruning on operations, latency, vocabulary and dev metric."""
    entry = result.structure
    facts = [f"operations left in the encoder: {share_text(entry['operations_left'])}"]
    before, after = entry["latency_ms"]["before"], entry["latency_ms"]["after"]
    if before and after:
        facts.append(
            f"by the latency table {after:.3f} ms at {entry['latency_table']['tokens']} tokens, "
            f"{before / after:.2f} times faster"
        )
    width = entry["hidden_size"]
    if width["before"] != width["after"]:
        facts.append(f"hidden size {width['before']} to {width['after']}")
    if result.trimmed:
        facts.append(_trimming_text(result.trimmed))
    metric = result.model.task.metric
    if metric in entry["metrics"]:
        facts.append(
            f"dev {metric_words(metric)} without training: "
            f"{metric_text(metric, entry['metrics'][metric])}"
        )
    return "; ".join(facts)


def _trimming_warning(result: RecoveryResult) -> str:
    """A warning if many dev texts have other tokens than before; empty otherwise."""
    entry = result.trimmed
    if not entry or entry["heldout"]["same_texts"] >= FEW_SAME_TEXTS:
        return ""
    return (
        f"Only {share_text(entry['heldout']['same_texts'])} of the dev texts have the same tokens "
        f"as before. Next: keep more with --keep-tokens {entry['rows_before'] // 2}, or use "
        "recovery training (--epochs)."
    )


def _trimming_text(entry: dict[str, Any]) -> str:
    """The effect of vocabulary trimming on the dev texts, which did not choose any token."""
    before, after = entry["heldout"]["before"], entry["heldout"]["after"]
    return (
        f"vocabulary: {entry['rows_after']} of {entry['rows_before']} tokens left; on the dev "
        f"texts, words in several pieces {share_text(before['split_rate'])} before, "
        f"{share_text(after['split_rate'])} after, unknown {share_text(before['unknown_rate'])} "
        f"before, {share_text(after['unknown_rate'])} after"
    )


def corpus_text(entry: dict[str, Any]) -> str:
    """The effect of vocabulary trimming on the texts that chose the tokens."""
    after = entry["corpus"]["after"]
    return (
        f"{entry['rows_after']} of {entry['rows_before']} tokens left; "
        f"{share_text(entry['corpus']['same_texts'])} of the {entry['corpus']['texts']} texts have "
        f"the same tokens as before; unknown words {share_text(after['unknown_rate'])}"
    )


def _weights_table(result: PruneResult) -> Table:
    """One row per pruned array, and the total."""
    rows = tuple(
        (layer.name, " x ".join(map(str, layer.shape)), share_text(layer.sparsity))
        for layer in result.layers
    )
    total = ("all of these", "", share_text(result.sparsity))
    columns = ("weights", "shape", "zeros")
    return Table(str(result.out), columns, (*rows, total), sections=(len(rows),))


def _weights_summary(result: PruneResult) -> str:
    """The gzip'd size of all kernels before and after magnitude pruning."""
    before, after = result.kernel_gzip_bytes_before, result.kernel_gzip_bytes_after
    return (
        f"all kernels in int8, gzip'd: {size_text(before)} before, {size_text(after)} after "
        f"({ratio_text(after / before)})"
    )
