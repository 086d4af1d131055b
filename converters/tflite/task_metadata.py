"""TFLite Metadata for MediaPipe and the Task Library: one table of heads, one function.

The metadata is a flatbuffer that names the tokenizer, the tensors and the classes.
`converters.tflite.metadata` puts it into a file. The readers find it like this:

- Text classifier: both libraries find the inputs by name and show the output as scores, so it
  should be probabilities. The Task Library looks for the output `probability`.
- Question answerer: the Task Library's BertQuestionAnswerer takes a file with one subgraph of 384
  tokens and finds outputs by name. It cuts the question at 64 tokens and the context at the rest.
  Its answers are whole words between white space, up to 32 tokens.
- Text embedder: both libraries return the output as it is, or normalized. The output's name becomes
  the name of the head.
- Token classifier: neither library has such a task. The metadata is for apps that read it.

MediaPipe takes files with one subgraph only, the Task Library's classifier files with one output
only.

The BertTokenizer of both libraries has no settings. It lower-cases ASCII letters, keeps accents and
control characters, and splits at ASCII white space. A cased model therefore gets other tokens than
in training, and an uncased one does for texts that are not ASCII, unless the app normalizes texts
before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from converters import heads
from converters.errors import ConversionError
from converters.tflite.metadata_schema import Record, pack_metadata

VOCABULARY_FILE, LABELS_FILE = "vocab.txt", "labels.txt"
"""Names of the associated files."""
MIN_PARSER_VERSION = "1.1.0"
"""The first metadata parser that knows BertTokenizerOptions and input_process_units."""

_INPUTS = {
    "ids": "Token ids of the text.",
    "mask": "1 for tokens of the text, 0 for padding.",
    "segment_ids": "0 for the first text, 1 for the second of a pair.",
}
"""The libraries' names of token_ids, padding_mask and segment_ids, with their descriptions."""


@dataclass(frozen=True)
class FileDescription:
    """What the metadata says about the file as a whole.

    Attributes:
        description: for people.
        signatures: keys of the signatures, in the order of the subgraphs.
        version: of the model.
        name: of the model; empty for the name of its head.
    """

    description: str
    signatures: tuple[str, ...] = ("",)
    version: str = ""
    name: str = ""


@dataclass(frozen=True)
class _Output:
    """An output tensor; the name is empty for the name in the graph."""

    name: str
    description: str
    has_labels: bool = False


@dataclass(frozen=True)
class _Head:
    """A row of the table of heads: the model's name, and its outputs in the graph's order."""

    name: str
    outputs: tuple[_Output, ...]


_HEADS = {
    heads.CLASSIFIER: _Head(
        "BERT text classifier", (_Output("probability", "Score of each class.", has_labels=True),)
    ),
    heads.TOKEN_CLASSIFIER: _Head(
        "BERT token classifier",
        (
            _Output(
                "",
                "Score of each label for each token. The row of a word's first token speaks for "
                "the word; rows of other pieces, [CLS], [SEP] and padding mean nothing.",
                has_labels=True,
            ),
        ),
    ),
    heads.SPANS: _Head(
        "BERT question answerer",
        (
            _Output("start_logits", "How likely the answer starts at each token."),
            _Output("end_logits", "How likely the answer ends at each token."),
        ),
    ),
    heads.SENTENCE: _Head("BERT text embedder", (_Output("", "The vector of the text."),)),
}


def task_metadata(
    head: str, output: str, file: FileDescription, *, has_labels: bool = True
) -> bytes | None:
    """The content of the buffer `metadata.METADATA_BUFFER`.

    Args:
        head: of the checkpoint, one of `converters.heads`.
        output: name of the graph's output.
        file: description of the file. All its signatures have the same inputs and outputs.
        has_labels: whether the file has `LABELS_FILE`.

    Returns:
        The flatbuffer; None for a head that neither library nor TFLite Metadata has a use for, and
        for outputs of labels without their names.
    """
    row = _HEADS.get(head)
    if row is None or (not has_labels and any(each.has_labels for each in row.outputs)):
        return None
    vocabulary = {
        "name": VOCABULARY_FILE,
        "description": "WordPiece vocabulary, a token a line.",
        "type": "VOCABULARY",
    }
    options = {"type": "BertTokenizerOptions", "vocab_file": [vocabulary]}
    subgraph: Record = {
        "input_tensor_metadata": [_tensor(*each) for each in _INPUTS.items()],
        "output_tensor_metadata": [_output(each, output) for each in row.outputs],
        "input_process_units": [{"options": options}],
    }
    record: Record = {
        "name": file.name or row.name,
        "description": file.description,
        "subgraph_metadata": [{"name": key, **subgraph} for key in file.signatures],
        "min_parser_version": MIN_PARSER_VERSION,
        "version": file.version,
    }
    return pack_metadata(record)


def labels_txt(labels: Sequence[str]) -> bytes:
    """The content of the labels file: one label per line, in the order of the classes.

    Raises:
        ConversionError: there is no label, or a label is empty, repeated, contains a line break
            (readers would shift all labels after it) or is not valid Unicode.
    """
    problems = [] if labels else ["there is no label"]
    for i, label in enumerate(labels):
        if not label or re.search("[\r\n\ud800-\udfff]", label):
            fault = "contains a line break or half a character" if label else "is empty"
            problems.append(f"label {i} {fault}: {label!r}")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    problems += [f"label {label!r} occurs {labels.count(label)} times" for label in repeated]
    if problems:
        raise ConversionError(
            "A labels file needs different labels of one line each. "
            f"Received: {'; '.join(problems)}. Next: rename the labels and export again."
        )
    return "\n".join(labels).encode() + b"\n"


def _tensor(name: str, description: str) -> Record:
    return {
        "name": name,
        "description": description,
        "content": {"content_properties": {"type": "FeatureProperties"}},
    }


def _output(output: _Output, graph_output: str) -> Record:
    tensor = _tensor(output.name or graph_output, output.description)
    if not output.has_labels:
        return tensor
    labels = {
        "name": LABELS_FILE,
        "description": "Labels of the classes, one a line.",
        "type": "TENSOR_AXIS_LABELS",
    }
    return {**tensor, "stats": {"max": [1.0], "min": [0.0]}, "associated_files": [labels]}
