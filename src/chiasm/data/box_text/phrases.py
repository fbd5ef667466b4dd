"""Dialects that set a phrase between tags and its boxes between other tags: Qwen(2)-VL, InternVL, DeepSeek-VL2."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from chiasm.data.box_text.codec import Item
from chiasm.data.box_text.scale import Scale, encode_box
from chiasm.data.box_text.text import check_label, malformed, read_box
from chiasm.data.boxes import Size
from chiasm.errors import DataError

_NUMBER = r"\s*([0-9]{1,6})\s*"
_CORNERS = rf"\({_NUMBER},{_NUMBER}\)\s*,\s*\({_NUMBER},{_NUMBER}\)"
_FOUR = rf"\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]"


class _PhraseCodec(ABC):
    """Codes from border to border; "" for no boxes.

    One phrase may have several boxes, and plain words may stand between the phrases, as in grounded captions.
    """

    _scale: Scale
    _dialect: str
    _open_phrase: str
    _phrase: str  # pattern of a phrase with its tags
    _box: re.Pattern[str]  # one box: groups x1, y1, x2, y2
    _boxes: str  # pattern of the boxes of one phrase with their tags
    _stray: re.Pattern[str]  # what must not stand between phrases

    def encode(self, items: Sequence[Item], size: Size) -> str:
        """See `BoxCodec.encode`. A label must not contain "<" or ">"; DataError for a bare box after a labelled one."""
        text = ""
        for label, box in items:
            if label is None and text.startswith(self._open_phrase):
                raise DataError(
                    f"{self._dialect}'s dialect can't write a bare box after a labelled one; give it a label"
                )
            text += self._written(check_label(label, "<>") or None, *encode_box(box, size, self._scale, self._scale))
        return text

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        if not text.strip():
            return []
        matches = list(re.finditer(rf"(?:{self._phrase}\s*)?(?P<boxes>{self._boxes})", text))
        if not matches:
            raise malformed(self._dialect, text, 0)
        starts = [0, *(match.end() for match in matches)]
        ends = [*(match.start() for match in matches), len(text)]
        for start, end in zip(starts, ends, strict=True):
            if stray := self._stray.search(text, start, end):
                raise malformed(self._dialect, text, stray.start())
        items: list[Item] = []
        for match in matches:
            label = match["label"]
            if label is not None and not label.strip():
                raise malformed(self._dialect, text, match.start(), "empty phrase")
            for codes in self._box.findall(match["boxes"]):
                items.append(
                    (label.strip() if label else None, read_box(match, codes, size, self._scale, self._dialect))
                )
        return items

    @abstractmethod
    def _written(self, label: str | None, x1: int, y1: int, x2: int, y2: int) -> str:
        """One box as text."""


class QwenVLCodec(_PhraseCodec):
    """Qwen-VL: ``<ref>cup</ref><box>(x1,y1),(x2,y2)</box>``, codes 0..999 from border to border; "" for no boxes.

    One phrase may have several boxes, and plain words may stand between the phrases, as in grounded captions.
    Source: Qwen-VL ``eval_mm/evaluate_grounding.py`` (reads k / 999).
    """

    _scale = Scale.of_borders(999)
    _dialect = "Qwen-VL"
    _open_phrase = "<ref>"
    _phrase = r"<ref>(?P<label>[^<>]*)</ref>"
    _box = re.compile(_CORNERS)
    _boxes = rf"(?:<box>\s*{_CORNERS}\s*</box>\s*)+"
    _stray = re.compile(rf"[<>]|\({_NUMBER},{_NUMBER}\)")

    def _written(self, label: str | None, x1: int, y1: int, x2: int, y2: int) -> str:
        phrase = f"<ref>{label}</ref>" if label else ""
        return f"{phrase}<box>({x1},{y1}),({x2},{y2})</box>"


class Qwen2VLCodec(_PhraseCodec):
    """Qwen2-VL: ``<|object_ref_start|>cup<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>``, thousandths,
    0..1000; "" for no boxes. Words and phrases as in Qwen-VL.

    Source: Qwen2-VL's report (arXiv:2409.12191, section 2.2.1). The tags are special tokens, so a server that leaves
    those out of its text leaves nothing to read.
    """

    _scale = Scale.of_borders(1000)
    _dialect = "Qwen2-VL"
    _open_phrase = "<|object_ref_start|>"
    _phrase = r"<\|object_ref_start\|>(?P<label>[^<>]*)<\|object_ref_end\|>"
    _box = re.compile(_CORNERS)
    _boxes = rf"(?:<\|box_start\|>\s*{_CORNERS}\s*<\|box_end\|>\s*)+"
    _stray = re.compile(rf"[<>]|\({_NUMBER},{_NUMBER}\)")

    def _written(self, label: str | None, x1: int, y1: int, x2: int, y2: int) -> str:
        phrase = f"<|object_ref_start|>{label}<|object_ref_end|>" if label else ""
        return f"{phrase}<|box_start|>({x1},{y1}),({x2},{y2})<|box_end|>"


class InternVLCodec(_PhraseCodec):
    """InternVL: ``<ref>cup</ref><box>[[x1, y1, x2, y2], [...]]</box>``, thousandths, 0..1000; "" for no boxes.

    Plain words may stand between the phrases, and a list of boxes without its tags is read too, as InternVL itself
    does. Source: InternVL ``internvl_chat/eval/refcoco/evaluate_grounding.py`` (reads k / 1000).
    """

    _scale = Scale.of_borders(1000)
    _dialect = "InternVL"
    _open_phrase = "<ref>"
    _phrase = r"<ref>(?P<label>[^<>]*)</ref>"
    _box = re.compile(_FOUR)
    _list = rf"(?:\[\s*{_FOUR}(?:\s*,\s*{_FOUR})*\s*\]|{_FOUR})"
    _boxes = rf"(?:<box>\s*{_list}\s*</box>|{_list})\s*"
    _stray = re.compile(r"[<>\[\]]")

    def _written(self, label: str | None, x1: int, y1: int, x2: int, y2: int) -> str:
        phrase = f"<ref>{label}</ref>" if label else ""
        return f"{phrase}<box>[[{x1}, {y1}, {x2}, {y2}]]</box>"


class DeepSeekVL2Codec(_PhraseCodec):
    """DeepSeek-VL2: ``<|ref|>cup<|/ref|><|det|>[[x1, y1, x2, y2], [...]]<|/det|>``, codes 0..999; "" for no boxes.

    Plain words may stand between the phrases. End-of-sentence tokens are ignored.
    Source: DeepSeek-VL2 ``deepseek_vl2/serve/app_modules/utils.py`` (reads k / 999).
    """

    _scale = Scale.of_borders(999)
    _dialect = "DeepSeek-VL2"
    _open_phrase = "<|ref|>"
    _phrase = r"<\|ref\|>(?P<label>[^<>]*)<\|/ref\|>"
    _box = re.compile(_FOUR)
    _boxes = rf"(?:<\|det\|>\s*\[\s*{_FOUR}(?:\s*,\s*{_FOUR})*\s*\]\s*<\|/det\|>\s*)+"
    _stray = re.compile(r"[<>\[\]]")
    _end = re.compile("<｜end▁of▁sentence｜>|<\\|end▁of▁sentence\\|>")

    def parse(self, text: str, size: Size) -> list[Item]:
        """See `BoxCodec.parse`."""
        return super().parse(self._end.sub("", text), size)

    def _written(self, label: str | None, x1: int, y1: int, x2: int, y2: int) -> str:
        phrase = f"<|ref|>{label}<|/ref|>" if label else ""
        return f"{phrase}<|det|>[[{x1}, {y1}, {x2}, {y2}]]<|/det|>"
