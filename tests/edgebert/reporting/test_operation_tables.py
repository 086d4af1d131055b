"""Tables of operations, starts, memory and load of a profile."""

from __future__ import annotations

from dataclasses import replace

from edgebert.profiling.measurement import (
    ColdStart,
    Measurement,
    OperationTime,
    SustainedPoint,
    summarize,
)
from edgebert.reporting.operation_tables import closer_tables, layers_table, tokenizer_table
from tests.edgebert.reporting.examples import LAPTOP

OPERATIONS = (
    OperationTime("embeddings.token", "GATHER", 0.2),
    OperationTime("layers.0.attention.query", "FULLY_CONNECTED", 0.5),
    OperationTime("layers.0.attention.scores", "BATCH_MATMUL", 0.1),
    OperationTime("layers.0.feed_forward.inner", "FULLY_CONNECTED", 0.8),
    OperationTime("layers.0.cls", "SLICE", 0.001),
    OperationTime("layers.1.feed_forward.inner", "FULLY_CONNECTED", 0.399),
)


def measured(kind: str = "model", length: int | None = 64, **more: object) -> Measurement:
    plain = Measurement(
        model="small.tflite",
        name="small",
        sha256="0",
        size_bytes=10,
        gzip_bytes=9,
        target="cpu",
        device=LAPTOP,
        runtime="ai-edge-litert 2.3.0",
        session="s",
        threads=1,
        signature=None,
        length=length,
        kind=kind,  # type: ignore[arg-type]
        texts=0 if kind == "model" else 3,
        load_ms=1.0,
        first_call_ms=2.0,
        latency=summarize([[2.1, 2.1]]),
        peak_memory_bytes=10_000_000,
        model_memory_bytes=5_000_000,
    )
    return replace(plain, **more)


def test_layers_are_rows_and_their_parts_columns() -> None:
    table = layers_table(measured(operations=OPERATIONS))
    assert table.title == "Layers of small, 64 tokens, 1 thread"
    assert table.columns == ("layer", "ms", "share", "attention", "feed_forward")
    assert table.rows == (
        ("embeddings", "0.200", "10.0%", "–", "–"),
        ("layers.0", "1.40", "70.0%", "0.600", "0.800"),
        ("layers.1", "0.399", "20.0%", "–", "0.399"),
        ("total", "2.00", "100.0%", "–", "–"),
        ("a call, p50", "2.10", "105.0%", "–", "–"),
    )
    assert table.sections == (3,)
    assert "LAPTOP" in layers_table(measured(operations=OPERATIONS), "LAPTOP").title


def test_share_of_the_tokenizer() -> None:
    steps = (OperationTime("tokenizer", "TOKENIZE", 0.1), OperationTime("model", "RUN", 1.9))
    table = tokenizer_table([measured("end_to_end", None, operations=steps)])
    assert table.columns == ("model", "timed", "all", "tokenizer", "model")
    assert table.rows == (
        ("small", "text to answer, 1 thread", "2.00", "0.100 (5.0%)", "1.90 (95.0%)"),
    )


def test_tables_only_for_requested_results() -> None:
    assert closer_tables([measured(), measured("end_to_end", None)]) == []
    everything = measured(
        operations=OPERATIONS,
        cold_start=ColdStart(100.0, 2.0, 5.0, 2.0, 1000),
        weights_bytes=1000,
        sustained=(SustainedPoint(6.0, 10, 2.0, 2.1), SustainedPoint(12.0, 10, 2.5, 2.6)),
    )
    titles = [table.title for table in closer_tables([everything])]
    assert len(titles) == 5
    assert titles[0].startswith("Layers of small")


def test_of_several_lengths_the_longest_is_shown_by_layer() -> None:
    both = [measured(length=n, operations=OPERATIONS) for n in (16, 64)]
    titles = [table.title for table in closer_tables(both)]
    assert [title for title in titles if title.startswith("Layers")] == [
        "Layers of small, 64 tokens, 1 thread"
    ]
