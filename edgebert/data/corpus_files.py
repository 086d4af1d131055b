"""Running text for masked-language-model training: documents of sentences, read as they are needed.

The format is that of BERT's own `create_pretraining_data.py`: UTF-8, one sentence a line, an empty
line between documents; `.txt` or `.txt.gz`. A file is read once to find its documents and hash it;
afterwards a document's sentences are in memory only while somebody looks at them, so a corpus may
be larger than memory. Text without any empty line is flat: it has no documents that a sentence
could be foreign to, and is handed out in stretches of lines.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast, overload

import numpy as np
import numpy.typing as npt

from edgebert.data.datasets import Dataset
from edgebert.data.table_files import Problems, open_bytes
from edgebert.errors import DataError

ENDINGS = (".txt", ".txt.gz")
FLAT_SENTENCES = 16
"""Lines that are handed out together where a file has no documents."""


@dataclass(frozen=True, slots=True)
class Document:
    """Consecutive sentences of one text."""

    sentences: tuple[str, ...]


class Corpus(Sequence[Document]):
    """The documents of a file, or some of them; each is read when it is asked for.

    Args:
        path: the file.
        starts: where each document begins, in bytes after unpacking, ascending int64 `[documents]`.
        sentences: lines of each, int32 `[documents]`.
        has_documents: False where the file is one flat text.
    """

    def __init__(
        self,
        path: Path,
        starts: npt.NDArray[np.int64],
        sentences: npt.NDArray[np.int32],
        has_documents: bool,
    ) -> None:
        self.path, self.has_documents = path, has_documents
        self._starts, self._sentences = starts, sentences

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def num_sentences(self) -> int:
        """Sentences of all documents."""
        return int(self._sentences.sum())

    def __iter__(self) -> Iterator[Document]:
        """All documents in the file's order, in one pass over it."""
        with _unpacked(self.path) as stream:
            for start, count in zip(self._starts, self._sentences, strict=True):
                yield self._read(stream, int(start), int(count))

    @overload
    def __getitem__(self, index: int) -> Document: ...

    @overload
    def __getitem__(self, index: slice) -> Corpus: ...

    def __getitem__(self, index: int | slice) -> Document | Corpus:
        if isinstance(index, slice):
            return self.subset(np.arange(len(self))[index])
        with _unpacked(self.path) as stream:
            return self._read(stream, int(self._starts[index]), int(self._sentences[index]))

    def subset(self, rows: npt.NDArray[np.intp]) -> Corpus:
        """Some of the documents, by their numbers; nothing is read."""
        return Corpus(self.path, self._starts[rows], self._sentences[rows], self.has_documents)

    def _read(self, stream: BinaryIO, start: int, count: int) -> Document:
        stream.seek(start)
        found: list[str] = []
        while len(found) < count:
            line = stream.readline()
            if not line:
                raise DataError(
                    f"{self.path} became shorter while it was in use. Next: start again with a "
                    "file that nothing writes to."
                )
            sentence = line.decode("utf-8-sig").strip()
            if sentence:
                found.append(sentence)
        return Document(tuple(found))


def read_corpus(path: Path | str, task: str = "") -> Dataset:
    """Finds the documents of a file, and hashes it, without keeping its text.

    Args:
        path: a `.txt` or `.txt.gz`.
        task: the name of the task that reads it.

    Raises:
        DataError: the file is missing, of another format, empty or not UTF-8; of lines that are
            not, a few are listed and how many there are.
    """
    path = Path(path)
    if not path.name.lower().endswith(ENDINGS):
        raise DataError(
            f"{path}: expected running text, a {' or '.join(ENDINGS)} with one sentence a line and "
            "an empty line between documents. Next: write the text in that form."
        )
    problems = Problems()
    try:
        stream, sha256 = open_bytes(path)
        with closing(stream):
            starts, sentences, has_documents = _documents(stream, problems)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} can't be read: {error}. Next: check the path, and that it was copied whole."
        ) from error
    if problems.count:
        raise DataError(f"{path}: expected UTF-8. {problems.listed()}")
    if not len(starts):
        raise DataError(f"{path}: expected one sentence a line. Received: no text.")
    corpus = Corpus(path, starts, sentences, has_documents)
    return Dataset(path.name.split(".")[0] or path.name, corpus, path, sha256, task)


def _documents(
    stream: BinaryIO, problems: Problems
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], bool]:
    """Where documents begin, how many sentences each has, and whether they are documents."""
    stretches = _Stretches()
    place, begins = 0, True
    for number, line in enumerate(stream, 1):
        try:
            is_empty = not line.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            problems.add(number, f"not UTF-8 (byte 0x{line[error.start]:02x})")
            is_empty = False
        if not is_empty:
            stretches.add(place, begins)
        begins = is_empty
        place += len(line)
    has_documents = len(stretches.starts) > 1
    if not has_documents:
        starts, sentences = stretches.flat_starts, stretches.flat_sentences
        return np.array(starts, np.int64), np.array(sentences, np.int32), False
    return np.array(stretches.starts, np.int64), np.array(stretches.sentences, np.int32), True


class _Stretches:
    """Start and sentences of each document, and of stretches of the first one, if it is all."""

    def __init__(self) -> None:
        self.starts, self.sentences = array("q"), array("i")
        self.flat_starts, self.flat_sentences = array("q"), array("i")

    def add(self, place: int, begins: bool) -> None:
        """Counts a sentence that stands at a place, and may begin a document."""
        if begins:
            self.starts.append(place)
            self.sentences.append(0)
        self.sentences[-1] += 1
        if len(self.starts) == 1:
            if self.sentences[0] % FLAT_SENTENCES == 1:
                self.flat_starts.append(place)
                self.flat_sentences.append(0)
            self.flat_sentences[-1] += 1


def _unpacked(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb"))
