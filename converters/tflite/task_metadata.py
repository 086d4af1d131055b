"""What a `.tflite` says of itself to MediaPipe and the Task Library, one function a task of theirs.

Each gives a TFLite Metadata flatbuffer: which tokenizer runs, and what the tensors and classes are
called. How it gets into the file is the business of `converters.tflite.metadata`.

The BertTokenizer of both has no settings: it lower-cases ASCII letters and nothing else. It strips
no accents and no control characters, and splits at ASCII white space. So a cased model gets other
tokens than it was trained on, and an uncased one does wherever a text is not ASCII, unless the app
normalizes texts as the model's tokenizer does before it hands them over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from converters.errors import ConversionError
from converters.tflite.metadata_schema import Record, pack_metadata

MIN_PARSER_VERSION = "1.1.0"
"""The first metadata parser that knows BertTokenizerOptions and input_process_units."""

BERT_INPUT_NAMES = ("ids", "mask", "segment_ids")
"""What the readers call token_ids, padding_mask and segment_ids."""
SPAN_OUTPUT_NAMES = ("start_logits", "end_logits")

_INPUT_DESCRIPTIONS = {
    "ids": "Token ids of the text.",
    "mask": "1 for tokens of the text, 0 for padding.",
    "segment_ids": "0 for the first text, 1 for the second of a pair.",
}
_OUTPUT_DESCRIPTIONS = {
    "start_logits": "How likely the answer starts at each token.",
    "end_logits": "How likely the answer ends at each token.",
}

_TOKEN_SCORES = (
    "Score of each label for each token. The row of a word's first token speaks for the word; rows "
    "of other pieces, [CLS], [SEP] and padding mean nothing."
)


def classifier_metadata(
    name: str,
    description: str,
    *,
    vocab_file: str = "vocab.txt",
    labels_file: str = "labels.txt",
    input_names: Sequence[str] = BERT_INPUT_NAMES,
    output_names: Sequence[str] = ("probability",),
    subgraph_names: Sequence[str] = ("",),
    version: str = "",
    author: str = "",
    license_text: str = "",
) -> bytes:
    """The TFLITE_METADATA flatbuffer of a BERT text classifier.

    MediaPipe and the Task Library find the input tensors by these names and show the output as
    scores, as it is: it should hold probabilities. Every output is a head with the same labels.
    MediaPipe takes a file with one subgraph only and the Task Library one with one output only.

    Args:
        name: what the model is called.
        description: what it does, for people.
        vocab_file: name of the associated file that holds the vocabulary, a token a line.
        labels_file: name of the associated file that holds the labels, one a line (`labels_txt`).
        input_names: names of the input tensors in the order of the subgraph's inputs; the
            readers look for `ids`, `mask` and `segment_ids`.
        output_names: names of the output tensors in the order of the subgraph's outputs; the
            Task Library looks for `probability`.
        subgraph_names: one name a subgraph of the file; all have the same inputs and outputs.
        version: the model's version.
        author: who made the model.
        license_text: the licence that the model is under.

    Returns:
        The flatbuffer, to be stored as the buffer `metadata.METADATA_BUFFER`.
    """
    outputs = [_scores(output_name, labels_file) for output_name in output_names]
    facts = {"version": version, "author": author, "license": license_text}
    return _packed(name, description, vocab_file, input_names, outputs, subgraph_names, facts)


def question_answerer_metadata(
    name: str,
    description: str,
    *,
    vocab_file: str = "vocab.txt",
    input_names: Sequence[str] = BERT_INPUT_NAMES,
    output_names: Sequence[str] = SPAN_OUTPUT_NAMES,
    subgraph_names: Sequence[str] = ("",),
    version: str = "",
) -> bytes:
    """The TFLITE_METADATA flatbuffer of a BERT that finds answers in a context.

    The Task Library's BertQuestionAnswerer takes a file with one subgraph of 384 tokens, and finds
    inputs and outputs by these names. It cuts the question at 64 tokens and the context at what is
    left, and its answers are whole words between white space, up to 32 tokens.

    Args:
        name: what the model is called.
        description: what it does, for people.
        vocab_file: name of the associated file that holds the vocabulary, a token a line.
        input_names: names of the input tensors in the order of the subgraph's inputs.
        output_names: names of the output tensors in the order of the subgraph's outputs.
        subgraph_names: one name a subgraph of the file; all have the same inputs and outputs.
        version: the model's version.

    Returns:
        The flatbuffer, to be stored as the buffer `metadata.METADATA_BUFFER`.
    """
    outputs = [_tensor(output, _OUTPUT_DESCRIPTIONS.get(output, "")) for output in output_names]
    facts = {"version": version}
    return _packed(name, description, vocab_file, input_names, outputs, subgraph_names, facts)


def token_classifier_metadata(
    name: str,
    description: str,
    *,
    vocab_file: str = "vocab.txt",
    labels_file: str = "labels.txt",
    input_names: Sequence[str] = BERT_INPUT_NAMES,
    output_name: str = "probabilities",
    subgraph_names: Sequence[str] = ("",),
    version: str = "",
) -> bytes:
    """The TFLITE_METADATA flatbuffer of a BERT that labels each token.

    Neither MediaPipe nor the Task Library has such a task. This tells an app that reads metadata
    which tokenizer runs, what the labels are, and which rows of the output count.

    Args:
        name: what the model is called.
        description: what it does, for people.
        vocab_file: name of the associated file that holds the vocabulary, a token a line.
        labels_file: name of the associated file that holds the labels, one a line (`labels_txt`).
        input_names: names of the input tensors in the order of the subgraph's inputs.
        output_name: name of the output tensor, `[1, tokens, labels]`.
        subgraph_names: one name a subgraph of the file; all have the same inputs and outputs.
        version: the model's version.

    Returns:
        The flatbuffer, to be stored as the buffer `metadata.METADATA_BUFFER`.
    """
    outputs = [{**_scores(output_name, labels_file), "description": _TOKEN_SCORES}]
    facts = {"version": version}
    return _packed(name, description, vocab_file, input_names, outputs, subgraph_names, facts)


def embedder_metadata(
    name: str,
    description: str,
    *,
    vocab_file: str = "vocab.txt",
    input_names: Sequence[str] = BERT_INPUT_NAMES,
    output_name: str = "embedding",
    subgraph_names: Sequence[str] = ("",),
    version: str = "",
    author: str = "",
    license_text: str = "",
) -> bytes:
    """The TFLITE_METADATA flatbuffer of a BERT that gives a vector of a text.

    MediaPipe's and the Task Library's TextEmbedder find the input tensors by these names and give
    the output as it is, maybe made 1 long; its name becomes that of the head. MediaPipe takes a
    file with one subgraph only.

    Args:
        name: what the model is called.
        description: what it does, for people.
        vocab_file: name of the associated file that holds the vocabulary, a token a line.
        input_names: names of the input tensors in the order of the subgraph's inputs.
        output_name: name of the output tensor.
        subgraph_names: one name a subgraph of the file; all have the same inputs and outputs.
        version: the model's version.
        author: who made the model.
        license_text: the licence that the model is under.

    Returns:
        The flatbuffer, to be stored as the buffer `METADATA_BUFFER`.
    """
    outputs = [_tensor(output_name, "The vector of the text.")]
    facts = {"version": version, "author": author, "license": license_text}
    return _packed(name, description, vocab_file, input_names, outputs, subgraph_names, facts)


def _packed(
    name: str,
    description: str,
    vocab_file: str,
    input_names: Sequence[str],
    outputs: Sequence[Record],
    subgraph_names: Sequence[str],
    facts: Record,
) -> bytes:
    """Metadata of a BERT whose texts go through BertTokenizer."""
    vocabulary = {
        "name": vocab_file,
        "description": "WordPiece vocabulary, a token a line.",
        "type": "VOCABULARY",
    }
    subgraph: Record = {
        "input_tensor_metadata": [
            _tensor(input_name, _INPUT_DESCRIPTIONS.get(input_name, ""))
            for input_name in input_names
        ],
        "output_tensor_metadata": list(outputs),
        "input_process_units": [
            {"options": {"type": "BertTokenizerOptions", "vocab_file": [vocabulary]}}
        ],
    }
    record: Record = {
        "name": name,
        "description": description,
        "subgraph_metadata": [{"name": key, **subgraph} for key in subgraph_names],
        "min_parser_version": MIN_PARSER_VERSION,
        **facts,
    }
    return pack_metadata(record)


def labels_txt(labels: Sequence[str]) -> bytes:
    """The labels file as the readers split it: one label a line, in the order of the classes.

    Raises:
        ConversionError: there is no label, or one is empty, repeated, holds a line break (the
            readers would give the classes behind it other names) or is no valid Unicode.
    """
    problems = [] if labels else ["there is no label"]
    for i, label in enumerate(labels):
        if not label or re.search("[\r\n\ud800-\udfff]", label):
            fault = "holds a line break or half a character" if label else "is empty"
            problems.append(f"label {i} {fault}: {label!r}")
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    problems += [f"label {label!r} is there {labels.count(label)} times" for label in repeated]
    if problems:
        raise ConversionError(
            "A labels file needs distinct labels of one line each. "
            f"Received: {'; '.join(problems)}. Next: rename the labels and export again."
        )
    return "\n".join(labels).encode() + b"\n"


def _tensor(name: str, description: str) -> Record:
    return {
        "name": name,
        "description": description,
        "content": {"content_properties": {"type": "FeatureProperties"}},
    }


def _scores(name: str, labels_file: str) -> Record:
    labels = {
        "name": labels_file,
        "description": "Labels of the classes, one a line.",
        "type": "TENSOR_AXIS_LABELS",
    }
    return {
        **_tensor(name, "Score of each class."),
        "stats": {"max": [1.0], "min": [0.0]},
        "associated_files": [labels],
    }
