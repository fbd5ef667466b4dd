"""A JSON file of any size, entry by entry: no more of it is in memory than one entry and one block of text."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from chiasm.data.json_text import reason, without_trailing_commas
from chiasm.errors import DataError

BLOCK = 1 << 20
"""Bytes read at once."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_EDGE = 12
"""A number or a word (the longest is -Infinity) that the end of the block cuts off begins within so many characters of
it: "1.5" may have been read as far as "1." and "true" as far as "tr"."""


def entries(path: Path | str, block: int = BLOCK) -> Iterator[Any]:
    """The values of a JSON file that is a list. Raises DataError, with the line, where it can't be read on."""
    with _opened(path) as file:
        reader = _Reader(path, file, block)
        reader.expect("[")
        yield from reader.each_entry()
        reader.expect_end()


def members(path: Path | str, block: int = BLOCK) -> Iterator[tuple[str, Any]]:
    """Key and value of a JSON file that is an object, in its order.

    A list that begins with an object is not given whole but as a pair for each of its values. A key that appears twice
    comes twice. Raises DataError, with the line, where the file can't be read on.
    """
    with _opened(path) as file:
        reader = _Reader(path, file, block)
        reader.expect("{")
        for key in reader.each_key():
            if reader.peek() == "[":
                reader.expect("[")
                values = reader.each_entry()
                if reader.peek() == "{":
                    for value in values:
                        yield key, value
                else:
                    yield key, list(values)
            else:
                yield key, reader.value()
        reader.expect_end()


class _Reader:
    """A place in a file of JSON text, which only moves forward. `block` counts bytes."""

    def __init__(self, path: Path | str, file: BinaryIO, block: int) -> None:
        self._path, self._file, self._block = path, file, block
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogatepass").decode
        self._raw_decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False
        self._line, self._columns_before = 1, 0  # of the start of the text

    def peek(self) -> str:
        """The next character that is no blank; "" at the end of the file."""
        while True:
            self._at = _BLANKS.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if self._ended:
                return ""
            self._read_on()

    def expect(self, character: str) -> None:
        if self.peek() != character:
            self._fail(json.JSONDecodeError(f"Expecting {character!r}", self._text, self._at))
        self._at += 1

    def expect_end(self) -> None:
        if self.peek():
            self._fail(json.JSONDecodeError("Extra data", self._text, self._at))

    def value(self) -> Any:
        while True:
            try:
                value, end = self._raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._is_cut_off(error):
                    self._read_on()
                else:
                    self._repair(error)
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists in lists in lists
                self._fail(error)
            else:
                if end + _EDGE < len(self._text) or self._ended:
                    self._at = end
                    return value
                self._read_on()

    def each_entry(self) -> Iterator[Any]:
        """The values of a list whose bracket was read, up to and with the other bracket."""
        while self.peek() != "]":
            yield self.value()
            if self.peek() != "]":
                self.expect(",")
        self._at += 1

    def each_key(self) -> Iterator[str]:
        """The keys of an object whose brace was read, up to and with the other brace; each value must be read before
        the next key is asked for."""
        while self.peek() != "}":
            if self.peek() != '"':
                self.expect('"')
            key = self.value()
            self.expect(":")
            self.peek()
            yield key
            if self.peek() != "}":
                self.expect(",")
        self._at += 1

    def _read_on(self) -> None:
        """Drop what was read and append the next block; a value larger than a block doubles it each time."""
        done, rest = self._text[: self._at], self._text[self._at :]
        self._line += done.count("\n")
        self._columns_before = len(done) - 1 - done.rfind("\n") + (0 if "\n" in done else self._columns_before)
        self._text, self._at = rest, 0
        raw = self._file.read(max(self._block, len(rest)))
        self._ended = not raw
        try:
            self._text += self._decode(raw, self._ended)
        except UnicodeDecodeError as error:
            line = self._line + rest.count("\n") + error.object.count(b"\n", 0, error.start)
            raise DataError(f"{self._path}, line {line}: {reason(error)}") from None

    def _is_cut_off(self, error: json.JSONDecodeError) -> bool:
        """Whether the end of the block may be what is wrong."""
        at_edge = error.pos + _EDGE >= len(self._text) or error.msg.startswith("Unterminated string")
        return at_edge and not self._ended

    def _repair(self, error: json.JSONDecodeError) -> None:
        rest = self._text[self._at :]
        repaired = without_trailing_commas(rest)
        if repaired == rest:
            self._fail(error)
        self._text = self._text[: self._at] + repaired

    def _fail(self, error: ValueError | RecursionError) -> None:
        at = error.pos if isinstance(error, json.JSONDecodeError) else self._at
        line = self._line + self._text.count("\n", 0, at)
        raise DataError(f"{self._path}, line {line}: {reason(error, self._columns_before)}") from None


def _opened(path: Path | str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
