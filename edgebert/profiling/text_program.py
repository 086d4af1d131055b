"""The part of edgebert that answers texts on a board, as an archive of Python sources.

The archive has `edgebert.profiling.end_to_end`, the tasks, and every module that they import when
they are loaded, and nothing else: `python -m edgebert.profiling.text_program` lists all files.
On the board they need numpy and a TFLite runtime. The `tokenizers` library is used if it is there.
"""

from __future__ import annotations

import ast
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import edgebert
from edgebert.tasks import task_modules

OLDEST_PYTHON = (3, 10)
SPARE_BYTES = 3 << 20
"""Disk space for the archive, its files and their byte code."""

ROOTS = (
    "edgebert.profiling.end_to_end",
    "edgebert.models.litert_model",
    "edgebert.tasks.examples",
    "edgebert.encoding.python_tokenizer",
    *task_modules(),
)
"""Modules that the program loads. Imports inside of functions, such as TensorFlow's, are not
followed."""

_PACKAGES = ("edgebert", "converters")
_FOLDER = Path(edgebert.__file__).resolve().parents[1]
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)
_MAIN = """\
import runpy

runpy.run_module("edgebert.profiling.end_to_end", run_name="__main__", alter_sys=True)
"""


def source_files() -> list[str]:
    """The files of the archive, relative to the folder of the packages, without `__main__.py`."""
    found: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        module = waiting.pop()
        file = _file_of(module)
        if file is None or file in found:
            continue
        found.add(file)
        parts = module.split(".")
        waiting += [".".join(parts[:count]) for count in range(1, len(parts))]
        waiting += _imported((_FOLDER / file).read_text(encoding="utf-8"))
    return sorted(found)


def write_archive(path: Path) -> None:
    """Writes the archive. The same sources give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _FIRST_DATE), _MAIN)
        for file in source_files():
            entry = zipfile.ZipInfo(file, _FIRST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (_FOLDER / file).read_bytes())


def _file_of(module: str) -> str | None:
    """The file of a module of ours; None for other modules and for names that are no modules."""
    if module.partition(".")[0] not in _PACKAGES:
        return None
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py")
    return next((file for file in files if (_FOLDER / file).is_file()), None)


def _imported(source: str) -> Iterator[str]:
    """The modules that a source imports when it is loaded, and imported names that may be some."""
    waiting: list[ast.stmt] = list(ast.parse(source).body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.Try):
            waiting += statement.body + [each for h in statement.handlers for each in h.body]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{file}\n" for file in ["__main__.py", *source_files()]))
