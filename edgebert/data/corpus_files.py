"""Running text for masked-language-model training: documents of sentences, read on access.

The format is that of BERT's `create_pretraining_data.py`: UTF-8, one sentence per line, an empty
line between documents; `.txt` or `.txt.gz`. The file is read once to find its documents and to hash
it. Later only the current document is in memory, so a corpus may be larger than memory. A text
without empty lines has no documents, so there is no next sentence prediction; it is read in chunks
of lines. A text in another encoding is converted to a temporary file in UTF-8.
"""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
import numpy.typing as npt

from edgebert.data.columns import Problems
from edgebert.data.datasets import Dataset, Example
from edgebert.data.encodings import NAME_ENCODING, as_utf8
from edgebert.data.files import dataset_name, describe, open_bytes, open_unpacked, read_errors
from edgebert.errors import DataError
from edgebert.settings import DataSettings

ENDINGS = (".txt", ".txt.gz")
CHUNK_SENTENCES = 16
"""Lines per chunk of a file without documents."""


@dataclass(frozen=True, slots=True)
class Document:
    """Consecutive sentences of one text."""

    sentences: tuple[str, ...]


class Corpus(Sequence[Document]):
    """The documents of a file, or a subset of them; each is read on access.

    Args:
        path: the file.
        starts: byte offset of each document after unpacking, ascending, int64 `[documents]`.
        sentences: number of sentences of each document, int32 `[documents]`.
        has_documents: False for a file without document boundaries.
        converted: the text in UTF-8, if the file has another encoding.
    """

    def __init__(
        self,
        path: Path,
        starts: npt.NDArray[np.int64],
        sentences: npt.NDArray[np.int32],
        has_documents: bool,
        converted: Any = None,
    ) -> None:
        self.path, self.has_documents = path, has_documents
        self._starts, self._sentences, self._converted = starts, sentences, converted

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def num_sentences(self) -> int:
        """Number of sentences of all documents."""
        return int(self._sentences.sum())

    def __iter__(self) -> Iterator[Document]:
        """Yields all documents in the order of the file, in one pass."""
        with self._open() as stream:
            for start, count in zip(self._starts, self._sentences, strict=True):
                yield self._read(stream, int(start), int(count))

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> Corpus: ...

    def __getitem__(self, index: int | slice) -> Document | Corpus:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        with self._open() as stream:
            return self._read(stream, int(self._starts[index]), int(self._sentences[index]))

    def subset(self, rows: npt.NDArray[np.intp]) -> Corpus:
        """A subset of the documents by their numbers; reads nothing."""
        chosen = self._starts[rows], self._sentences[rows]
        return Corpus(self.path, *chosen, self.has_documents, self._converted)

    def _open(self) -> BinaryIO:
        if self._converted is None:
            return open_unpacked(self.path)
        return Path(self._converted.name).open("rb")

    def _read(self, stream: BinaryIO, start: int, count: int) -> Document:
        stream.seek(start)
        found: list[str] = []
        while len(found) < count:
            line = stream.readline()
            if not line:
                raise DataError(
                    f"{self.path}: expected the file not to change during the run. Received: fewer "
                    "lines than before. Next: run again, with a file that no program writes to."
                )
            try:
                sentence = line.decode("utf-8-sig").strip()
            except UnicodeDecodeError:  # a line that was left out
                continue
            if sentence:
                found.append(sentence)
        return Document(tuple(found))


def read_corpus(
    path: Path | str, task: str = "", columns: DataSettings = DataSettings()
) -> Dataset:
    """Finds the documents of a file and hashes it, without keeping its text in memory.

    Args:
        path: a `.txt` or `.txt.gz`.
        task: name of the task that reads it.
        columns: the encoding, and whether lines that are not in it are left out.

    Raises:
        DataError: The file is missing, of another format, empty or not in the encoding; the first
            five lines that are not UTF-8 are listed.
        UsageError: The encoding is unknown.
    """
    path = Path(path)
    if not path.name.lower().endswith(ENDINGS):
        raise DataError(
            f"{path}: expected running text, a {' or '.join(ENDINGS)} with one sentence per line "
            "and an empty line between documents. Received: another file name ending. Next: "
            "convert the text to this format."
        )
    problems = Problems(columns.skip_bad_rows, next_step=NAME_ENCODING)
    converted: Any = None
    with read_errors(path):
        stored, sha256 = open_bytes(path)
        stream = as_utf8(stored, describe(path), columns.encoding)
        with closing(stream):
            if stream is not stored:
                converted = tempfile.NamedTemporaryFile(suffix=".txt")  # noqa: SIM115 (kept open)
                shutil.copyfileobj(stream, converted)
                converted.flush()
                stream.seek(0)
            starts, sentences, has_documents = _documents(stream, problems)
    if problems.are_refused or (problems.count and not len(starts)):
        raise DataError(f"{path}: expected UTF-8. {problems.listed()}")
    if not len(starts):
        raise DataError(f"{path}: expected one sentence per line. Received: no text.")
    corpus = Corpus(path, starts, sentences, has_documents, converted)
    return Dataset(dataset_name(path), corpus, path, sha256, task, problems.left_out)


def sentences_of(corpus: Dataset) -> Dataset:
    """The sentences of a corpus as single texts."""
    sentences = (text for document in corpus.examples for text in document.sentences)
    return replace(corpus, examples=tuple(map(Example, sentences)))


def _documents(
    stream: BinaryIO, problems: Problems
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], bool]:
    """Finds the documents.

    Returns:
        Byte offsets, numbers of sentences, and whether the file has document boundaries.
    """
    index = _DocumentIndex()
    offset, begins = 0, True
    for number, line in enumerate(stream, 1):
        try:
            is_empty = not line.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            problems.add(number, f"not UTF-8 (byte 0x{line[error.start]:02x})")
        else:
            if not is_empty:
                index.add(offset, begins)
            begins = is_empty
        offset += len(line)
    has_documents = len(index.starts) > 1
    if not has_documents:
        starts, sentences = index.chunk_starts, index.chunk_sentences
        return np.array(starts, np.int64), np.array(sentences, np.int32), False
    return np.array(index.starts, np.int64), np.array(index.sentences, np.int32), True


class _DocumentIndex:
    """Offsets and sentence counts of documents, and of the chunks of the first document.

    The chunks are used if the file has no other document.
    """

    def __init__(self) -> None:
        self.starts, self.sentences = array("q"), array("i")
        self.chunk_starts, self.chunk_sentences = array("q"), array("i")

    def add(self, offset: int, begins: bool) -> None:
        """Adds the sentence at a byte offset; `begins` is True for the first of a document."""
        if begins:
            self.starts.append(offset)
            self.sentences.append(0)
        self.sentences[-1] += 1
        if len(self.starts) == 1:
            if self.sentences[0] % CHUNK_SENTENCES == 1:
                self.chunk_starts.append(offset)
                self.chunk_sentences.append(0)
            self.chunk_sentences[-1] += 1
