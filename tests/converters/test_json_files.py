"""The one reader of JSON: every wrong file ends as the error class of the format."""

from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.errors import ConversionError
from converters.json_files import InvalidJsonError, JsonFormat, json_type, json_value, parse_json


class ReaderError(Exception):
    """The error class of these tests."""


PLAIN = JsonFormat("a settings file", "write it again", ReaderError)
NUMBERED = JsonFormat("a record", "run it again", ReaderError, versions=(1, 2))
NAMED = JsonFormat("a report", "make it again", ReaderError, format="a-report", versions=(3,))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]))
def test_values_are_read_in_every_unicode_encoding(value: object, encoding: str) -> None:
    text = json.dumps(value)
    assert parse_json(text) == value
    assert parse_json(text.encode(encoding)) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_invalid(data: bytes) -> None:
    with contextlib.suppress(InvalidJsonError):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"{cut", "no JSON"),
        (b'{"a": "\xff"}', "no JSON.*decode"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "no JSON.*digits"),
        (b'{"a": ["\\uD800"]}', r"no JSON: a text has '\\ud800', half of a surrogate pair"),
        (b'{"\\uDC00\\uD83D": 1}', "half of a surrogate pair"),
        (b"[1]", "a JSON array"),
        (b"null", "a JSON null"),
        (b'"text"', "a JSON text"),
        (b"1.5", "a JSON number"),
    ],
)
def test_a_wrong_file_is_an_error_with_path_and_next_step(tmp_path, data, message):
    path = tmp_path / "settings.json"
    path.write_bytes(data)
    with pytest.raises(ReaderError, match=message) as caught:
        PLAIN.read(path)
    assert str(caught.value).startswith(f"{path}: expected a settings file. Received: ")
    assert str(caught.value).endswith("Next: write it again.")


def test_whole_surrogate_pairs_are_characters():
    assert PLAIN.parse(b'{"a": "\\uD83D\\uDE00 \\\\ud800"}', "x") == {"a": "\U0001f600 \\ud800"}
    assert parse_json(b'"\\ud800"') == "\ud800"  # the readers of data files replace it


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ReaderError, match="can't be read"):
        PLAIN.read(tmp_path / "missing.json")
    with pytest.raises(ReaderError, match="can't be read"):
        PLAIN.read(tmp_path)


def test_files_over_the_size_limit_are_not_read(tmp_path):
    path = tmp_path / "large.json"
    path.write_text('{"a": "' + "x" * 100 + '"}')
    small = JsonFormat("a small file", "cut it down", max_bytes=100)
    with pytest.raises(ConversionError, match="109 bytes, more than the limit of 100"):
        small.read(path)
    assert PLAIN.read(path) == {"a": "x" * 100}


@pytest.mark.parametrize("version", [0, 3, "1", True, 1.0, None, [1]])
def test_an_unknown_version_under_format(version):
    with pytest.raises(
        ReaderError, match=r"^r\.json: expected a record of format 1 or 2\. Received: "
    ):
        NUMBERED.require({"format": version}, "r.json")


def test_known_versions():
    assert NUMBERED.require({"format": 1, "a": 2}) == {"format": 1, "a": 2}
    assert NAMED.parse('{"format": "a-report", "version": 3}', "x")["version"] == 3


@pytest.mark.parametrize(
    "table", [{}, {"format": "a-report"}, {"format": "other", "version": 3}, {"version": 3}]
)
def test_another_format_or_version(table):
    expected = r"^Expected a report \(a-report, version 3\)\. Received: .*, version .*Next: make it"
    with pytest.raises(ReaderError, match=expected):
        NAMED.require(table)


def test_constants_that_are_no_json():
    assert math.isnan(parse_json("NaN"))
    with pytest.raises(InvalidJsonError, match="NaN is no JSON value"):
        parse_json("[NaN]", constants=False)


def test_json_value_is_what_a_file_would_hold():
    assert json_value({"a": (1, 2)}) == {"a": [1, 2]}
    assert json_type(True) == "boolean"
