"""`edgebert inspect`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgebert.cli.options import json_option, print_json, size_text
from edgebert.cli.shown_output import echo

if TYPE_CHECKING:
    from rich.console import Console

    from edgebert.models.inspection import Inspection


_SHOWN_ITEMS = 8


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--tensors", is_flag=True, help="Also list every tensor of the first signature.")
@click.option(
    "--require-full-delegation",
    is_flag=True,
    help="Exit with code 3 unless XNNPACK runs each signature in one partition. Embedding lookups "
    "and integer operations on the inputs may stay outside.",
)
@json_option
def inspect(model: Path, tensors: bool, require_full_delegation: bool, as_json: bool) -> None:
    """Print the contents of a .tflite: task, signatures, operators, recipe, hashes, delegation.

    \b
    edgebert inspect model.tflite
    edgebert inspect model.tflite --json --require-full-delegation
    """
    from edgebert.errors import QualityGateError
    from edgebert.models.inspection import inspect_model

    inspection = inspect_model(model)
    if as_json:
        print_json(inspection.to_dict())
    else:
        _print(inspection, tensors)
    partial = [d for d in inspection.delegation if not d.full]
    if require_full_delegation and partial:
        outside = sorted(
            {item.operator for d in partial for item in d.left_out if not item.plumbing}
        )
        raise QualityGateError(
            "Expected every signature in one XNNPACK partition. Received: "
            + "; ".join(
                f"{d.signature or 'the graph'} in {d.partitions} partitions" for d in partial
            )
            + (f", with {', '.join(outside)} outside." if outside else ".")
        )


def _print(inspection: Inspection, tensors: bool) -> None:
    from edgebert.system.shown_text import open_console

    console = open_console()
    _print_facts(console, inspection)
    _print_kotlin(inspection)
    _print_signatures(console, inspection)
    _print_left_out(console, inspection)
    if tensors:
        _print_tensors(console, inspection)


def _print_facts(console: Console, inspection: Inspection) -> None:
    from rich.table import Table

    model, manifest = inspection.model, inspection.manifest
    table = Table(title=inspection.path, show_header=False, title_justify="left")
    table.add_row("size", size_text(model.size_bytes))
    table.add_row("sha256", model.sha256)
    table.add_row(
        "constants",
        ", ".join(f"{kind} {size_text(size)}" for kind, size in model.constant_bytes.items()),
    )
    table.add_row("Select TF / custom ops", ", ".join(model.select_ops) or "none")
    if manifest is None:
        table.add_row("edgebert manifest", "none: not exported by edgebert")
    else:
        labels = manifest.labels
        table.add_row("task", manifest.task)
        decoding = manifest.decoding
        if decoding:
            table.add_row("decoding", ", ".join(f"{k}={_short(v)}" for k, v in decoding.items()))
        table.add_row(
            "recipe",
            f"{manifest.recipe} (kernels "
            f"{manifest.precision['kernels']}, embeddings "
            f"{manifest.precision['embeddings']})",
        )
        table.add_row("labels", f"{len(labels)}: {', '.join(labels)}" if labels else "none")
        table.add_row(
            "lengths",
            ", ".join(map(str, manifest.lengths)) or f"any up to {manifest.max_length}",
        )
        rules = {k: v for k, v in manifest.tokenizer.items() if k != "added_tokens"}
        table.add_row("tokenizer", ", ".join(f"{k}={v}" for k, v in rules.items()))
        table.add_row("vocabulary sha256", manifest.vocabulary_sha256)
        table.add_row("weights sha256", manifest.weights_sha256)
        parity = manifest.parity
        if parity:
            table.add_row(
                "parity",
                f"{parity['texts']} texts, float graph against Keras "
                f"{parity['float_max_error']:.1e}",
            )
        table.add_row("made with", ", ".join(f"{k} {v}" for k, v in manifest.versions.items()))
    if inspection.metadata:
        files = inspection.metadata["associated_files"]
        table.add_row(
            "TFLite Metadata",
            ", ".join(f"{name} ({size_text(size)})" for name, size in files.items()),
        )
    console.print(table)


def _print_kotlin(inspection: Inspection) -> None:
    """The lines of an Android app that ask this file."""
    from edgebert.exporting.kotlin_lines import kotlin_lines

    manifest = inspection.manifest
    if manifest is None or not manifest.lengths:
        return
    texts = int(manifest.decoding.get("texts", 1))
    lines = kotlin_lines(manifest.task, Path(inspection.path).name, texts)
    if lines:
        echo("In an Android app (docs/android.md)")
        echo("\n".join(f"  {line}" for line in lines))
        echo("")


def _short(value: Any) -> str:
    """A value as short text. Long lists and tables are shown as their number of entries."""
    if isinstance(value, (list, dict)) and len(value) > _SHOWN_ITEMS:
        return f"({len(value)} entries)"
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def _print_signatures(console: Console, inspection: Inspection) -> None:
    from rich.table import Table

    table = Table(title="Signatures and XNNPACK", title_justify="left")
    for column in (
        "signature",
        "inputs",
        "outputs",
        "operators",
        "partitions",
        "delegated",
        "full",
    ):
        table.add_column(column)
    for subgraph, delegation in zip(inspection.model.subgraphs, inspection.delegation, strict=True):
        table.add_row(
            subgraph.signature or "-",
            *(
                "\n".join(
                    f"{name} {subgraph.tensors[i].dtype} {list(subgraph.tensors[i].shape)}"
                    for name, i in side.items()
                )
                for side in (subgraph.inputs, subgraph.outputs)
            ),
            str(len(subgraph.operators)),
            str(delegation.partitions),
            str(sum(delegation.delegated.values())),
            "yes" if delegation.full else "no",
        )
    console.print(table)


def _print_left_out(console: Console, inspection: Inspection) -> None:
    from rich.table import Table

    rows: dict[tuple[str, str, str], list[str]] = {}
    for delegation in inspection.delegation:
        for item in delegation.left_out:
            rows.setdefault((item.operator, item.output, item.why), []).append(
                delegation.signature or "-"
            )
    if not rows:
        return
    table = Table(title="Outside XNNPACK", title_justify="left")
    for column in ("operator", "output", "reason", "signatures"):
        table.add_column(column)
    for (operator, output, why), signatures in rows.items():
        everywhere = len(signatures) == len(inspection.delegation)
        table.add_row(operator, output, why, "all" if everywhere else ", ".join(signatures))
    console.print(table)


def _print_tensors(console: Console, inspection: Inspection) -> None:
    from rich.table import Table

    table = Table(title="Tensors of the first signature", title_justify="left")
    for column in ("name", "type", "shape", "constant"):
        table.add_column(column)
    for tensor in inspection.model.subgraphs[0].tensors:
        table.add_row(
            tensor.name,
            tensor.dtype,
            str(list(tensor.shape)),
            size_text(tensor.size_bytes) if tensor.size_bytes else "",
        )
    console.print(table)
