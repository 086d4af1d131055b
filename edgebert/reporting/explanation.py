"""One HTML page about one input: its pieces, the answer, the attention of every head.

The page has no scripts and no external addresses. The picture of a head is a PNG inside the page.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgebert.encoding.tokenizer import Encoding
from edgebert.errors import UsageError
from edgebert.evaluation.predictors import KerasPredictor, predict
from edgebert.models.attention import attention_weights, kept_heads
from edgebert.models.task_model import TaskModel, open_model
from edgebert.reporting.html import page_html, table_html
from edgebert.reporting.tables import Table
from edgebert.reporting.units import counted, share_text
from edgebert.reporting.writing import encodable
from edgebert.system.storage import atomic_write
from edgebert.tasks.examples import features_of
from edgebert.tasks.foreign import TaskRequest

SHOWN_TOKENS = 128
"""Tokens of a picture. More would make a page of many megabytes."""
LABELLED_TOKENS = 32
_LABEL_CHARACTERS = 10
_LABELS, _SIDE = 84.0, 320.0
"""Room of the labels and side of a picture, in units of the SVG."""
_COLOUR = (0x2F, 0x8A, 0xE6)
_ANSWERS = 3
_ANSWER_CHARACTERS = 300
"""A longer answer, such as a vector, is cut."""
_STYLE = """
.pieces { display: flex; flex-wrap: wrap; gap: 6px; padding: 0; list-style: none; }
.pieces li { border: 1px solid var(--rule); border-radius: 6px; padding: 2px 8px;
  background: var(--card); }
.pieces small { display: block; color: var(--faint); }
.pieces .second { border-color: var(--series-2); } .pieces .unknown { color: var(--bad); }
details { border-top: 1px solid var(--rule); padding: 8px 0; }
details .plots { margin-top: 12px; }
summary { cursor: pointer; font-weight: 600; }
figure svg text { fill: var(--ink); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: 8px 0; }
"""


@dataclass(frozen=True)
class Explanation:
    """What a model makes of one input.

    Attributes:
        model: Name of the model.
        task: Title of its task.
        texts: The input texts.
        answer: The model's answer as text; empty for a bare encoder.
        pieces: The tokens, with the special tokens.
        encoding: Their ids and segments.
        special: Pieces that are special tokens, such as `[SEP]`.
        unknown: The piece of unknown words.
        mark: What marks pieces inside of words, or at their starts, as a sentence.
        attention: float32 `[layers, heads, tokens, tokens]`.
        kept: The heads that are not pruned, bool `[layers, heads]`.
        windows: Number of parts that the model reads: windows of a long text, or texts that are
            read separately. The page shows the first one.
    """

    model: str
    task: str
    texts: tuple[str, ...]
    answer: str
    pieces: tuple[str, ...]
    encoding: Encoding
    special: frozenset[str]
    unknown: str
    mark: str
    attention: npt.NDArray[np.float32]
    kept: npt.NDArray[np.bool_]
    windows: int = 1


def write_explanation(
    folder: Path, texts: Sequence[str], out: Path, request: TaskRequest = TaskRequest()
) -> Explanation:
    """Explains one input of a model folder, and writes the page.

    Args:
        folder: The model folder.
        texts: One text, or two if the model reads pairs or answers questions.
        out: The HTML file.
        request: The task of the model, where its files don't tell it.

    Raises:
        UsageError: `folder` is no folder, or the number of texts is not the task's.
    """
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing at this path"
        raise UsageError(
            f"Expected a model folder, whose attention Keras can compute. Received: {folder}, "
            f"{what}. Next: give the folder that the .tflite was exported from."
        )
    found = explain(open_model(folder, request=request), texts, folder.resolve().name)
    atomic_write(out, encodable(explanation_html(found)))
    return found


def explain(model: TaskModel, texts: Sequence[str], name: str) -> Explanation:
    """Computes pieces, answer and attention.

    Raises:
        UsageError: The number of texts is not the task's.
    """
    given = tuple(texts)
    item = given if len(given) != 1 else given[0]
    encodings = features_of(model, [item], model.max_length).encodings
    answer = ""
    if model.task.has_answers:
        (content,) = predict(KerasPredictor(model), [item])
        answer = _shortened(model.task.format_answer(content, _ANSWERS))
    vocabulary, encoding = model.tokenizer.vocabulary, encodings[0]
    return Explanation(
        model=name,
        task=model.task.title,
        texts=given,
        answer=answer,
        pieces=tuple(vocabulary.tokens[i] for i in encoding.token_ids),
        encoding=encoding,
        special=frozenset((vocabulary.cls_token, vocabulary.sep_token)),
        unknown=vocabulary.unknown_token,
        mark=vocabulary.mark,
        attention=attention_weights(model, encoding),
        kept=kept_heads(model),
        windows=len(encodings),
    )


def _shortened(answer: str) -> str:
    cut = len(answer) > _ANSWER_CHARACTERS
    return f"{answer[:_ANSWER_CHARACTERS]}… (cut)" if cut else answer


def explanation_html(found: Explanation) -> str:
    """The page. All text is escaped."""
    layers, heads = found.kept.shape
    parts = [
        f"<h1>{escape(found.model)}</h1>",
        f'<p class="faint">{escape(found.task)}, {counted(layers, "layer")} of '
        f"{counted(heads, 'head')}, {counted(len(found.pieces), 'token')}</p>",
        *(f"<pre>{escape(text)}</pre>" for text in found.texts),
    ]
    if found.answer:
        parts += ["<h2>Answer</h2>", f"<pre>{escape(found.answer)}</pre>"]
    parts += ["<h2>Pieces</h2>", _pieces(found), "<h2>Attention</h2>", _reading(found)]
    parts += [_layer(found, index) for index in range(layers)]
    return page_html(f"{found.model}: attention", "\n".join(parts), _STYLE)


def _pieces(found: Explanation) -> str:
    second = found.encoding.segment_ids
    items = []
    for piece, token_id, segment in zip(
        found.pieces, found.encoding.token_ids, second, strict=True
    ):
        kind = "unknown" if piece == found.unknown else "second" if segment else ""
        items.append(f'<li class="{kind}">{escape(piece)}<small>{token_id}</small></li>')
    return (
        f'<p class="faint">Each piece with its token id. {escape(found.mark)}</p>'
        f'<ul class="pieces">{"".join(items)}</ul>'
    )


def _reading(found: Explanation) -> str:
    lines = [
        "Row: the token that reads. Column: the token that is read. Colour: the square root of the "
        "attention weight, so that small weights are visible. Each row has the sum 1.",
        "Attention shows where a head reads. It does not prove why the model gave its answer (Jain "
        "and Wallace 2019, Attention is not Explanation).",
    ]
    if len(found.pieces) > SHOWN_TOKENS:
        lines.append(f"The pictures show the first {SHOWN_TOKENS} tokens. The tables are of all.")
    if found.windows > 1:
        lines.append(
            f"The model reads this input in {found.windows} parts: windows of a long text, or two "
            "separate texts. The page shows the first part."
        )
    return "".join(f'<p class="faint">{escape(line)}</p>' for line in lines)


def _layer(found: Explanation, index: int) -> str:
    first_or_last = index in (0, len(found.kept) - 1)
    kept = np.flatnonzero(found.kept[index])
    pruned = found.kept.shape[1] - kept.size
    title = f"Layer {index + 1}" + (f", {counted(pruned, 'head')} pruned" if pruned else "")
    figures = "".join(_figure(found, index, int(head)) for head in kept)
    content = f'{table_html(_table(found, index, kept))}<div class="plots">{figures}</div>'
    return (
        f"<details{' open' if first_or_last else ''}><summary>{title}</summary>"
        f"{content if kept.size else '<p>All heads of this layer are pruned.</p>'}</details>"
    )


def _table(found: Explanation, layer: int, kept: npt.NDArray[np.int64]) -> Table:
    """How much each head reads of some positions, as means over the tokens."""
    pieces = found.pieces
    ends = np.array([piece in found.special for piece in pieces])
    rows = []
    for head in kept:
        weights = found.attention[layer, head].astype(np.float64)
        shares = (
            np.trace(weights) / len(pieces),
            np.diagonal(weights, -1).mean() if len(pieces) > 1 else 0.0,
            np.diagonal(weights, 1).mean() if len(pieces) > 1 else 0.0,
            weights[:, ends].sum(axis=1).mean(),
        )
        entropy = -(weights * np.log(np.maximum(weights, 1e-30))).sum(axis=1)
        rows.append(
            (
                str(head + 1),
                _strongest(weights, pieces, ends),
                *map(share_text, map(float, shares)),
                f"{np.exp(entropy).mean():.1f}",
            )
        )
    return Table(
        title="",
        columns=(
            *("head", "strongest link of words", "to itself", "to previous", "to next"),
            *("to special tokens", "tokens read"),
        ),
        rows=tuple(rows),
        texts=2,
    )


def _strongest(
    weights: npt.NDArray[np.float64], pieces: Sequence[str], special: npt.NDArray[np.bool_]
) -> str:
    """The largest weight between two tokens that are not special and not the same."""
    words = np.where(special[:, None] | special[None, :], -1.0, weights)
    np.fill_diagonal(words, -1.0)
    row, column = divmod(int(words.argmax()), len(pieces))
    if words[row, column] < 0:
        return "–"
    return f"{pieces[row]} → {pieces[column]} {words[row, column]:.2f}"


def _figure(found: Explanation, layer: int, head: int) -> str:
    pieces = found.pieces[:SHOWN_TOKENS]
    shown = found.attention[layer, head, : len(pieces), : len(pieces)]
    labelled = len(pieces) <= LABELLED_TOKENS
    start = _LABELS if labelled else 0.0
    end = start + _SIDE
    picture = (
        f'<image x="{start}" y="{start}" width="{_SIDE}" height="{_SIDE}" '
        'preserveAspectRatio="none" style="image-rendering: pixelated" '
        f'href="data:image/png;base64,{base64.b64encode(_png(shown)).decode()}"/>'
    )
    name = f"Layer {layer + 1}, head {head + 1}"
    return (
        f'<figure><svg viewBox="0 0 {end} {end}" role="img" aria-label="{name}">'
        f"{_labels(pieces) if labelled else ''}{picture}</svg>"
        f"<figcaption>{name}</figcaption></figure>"
    )


def _labels(pieces: Sequence[str]) -> str:
    """The pieces at the left and at the top of a picture."""
    cell = _SIDE / len(pieces)
    size = min(12.0, 0.9 * cell)
    parts = []
    for index, piece in enumerate(pieces):
        cut = len(piece) > _LABEL_CHARACTERS
        label = escape(piece[: _LABEL_CHARACTERS - 1] + "…" if cut else piece)
        middle = _LABELS + (index + 0.5) * cell
        edge = _LABELS - 4
        parts.append(
            f'<text x="{edge}" y="{middle:.1f}" text-anchor="end" dominant-baseline="central">'
            f"{label}</text>"
            f'<text transform="translate({middle:.1f} {edge}) rotate(-90)" '
            f'dominant-baseline="central">{label}</text>'
        )
    return f'<g font-size="{size:.1f}">{"".join(parts)}</g>'


def _png(weights: npt.NDArray[np.float32]) -> bytes:
    """A picture with one pixel per weight: one colour, as opaque as the weight's square root."""
    from matplotlib.image import imsave

    pixels = np.empty((*weights.shape, 4), np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = np.rint(255 * np.sqrt(np.clip(weights, 0, 1)))
    file = io.BytesIO()
    imsave(file, pixels, format="png")
    return file.getvalue()
