"""`chiasm score bertscore`: BERTScore of captions whose tokens somebody's model has embedded."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from chiasm.data.json_text import reason
from chiasm.data.records import paired
from chiasm.errors import DataError
from chiasm.score.bootstrap import summarise
from chiasm.score.captioning.embeddings import bertscore
from chiasm.score.measure import Measure, means
from chiasm.score.result import Item, Score

NUMBERS = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's token embeddings, (tokens, width), and how much each token counts, (tokens,); None where all count
    alike. A special token with the weight 0 can still be what another token is most alike to, as in the authors'
    package."""

    embeddings: np.ndarray
    weights: np.ndarray | None = None

    def empty(self) -> bool:
        """Whether no token counts."""
        return not len(self.embeddings) or (self.weights is not None and not self.weights.any())


def score_bertscore_files(
    references: Path | str, captions: Path | str, missing: Literal["error", "wrong"] = "error"
) -> Score:
    """`score_bertscore` of two .npz archives of token embeddings, (tokens, width), without special tokens.

    A caption stands under its image's id, its references under the id or, if there are several, under ``ID#0``,
    ``ID#1`` and so on. With ``missing="wrong"`` a missing caption scores 0. Raises DataError for other files, ids that
    do not fit and shapes that do not match.
    """
    truth: dict[str, list[Tokens]] = {}
    for name, rows in _arrays(references):
        image, mark, number = name.rpartition("#")
        truth.setdefault(image if mark and number.isdigit() else name, []).append(Tokens(rows))
    said = {name: Tokens(rows) for name, rows in _arrays(captions)}
    paired(truth, said, references, captions, missing)
    return score_bertscore(truth, said)


def score_bertscore(
    references: Mapping[str, Sequence[Tokens]],
    captions: Mapping[str, Tokens],
    dialect: str = "given embeddings",
    texts: Mapping[str, str] | None = None,
) -> Score:
    """Mean precision, recall and F1 over the ids of `references`, in [-1, 1], not rescaled by a baseline.

    Of several references, the best of each of the three numbers counts, as in the authors' package. `texts` are the
    captions themselves, where they are known; `dialect` names the model and the layer. A missing or empty caption
    scores 0. Raises DataError naming the id for shapes that do not match.
    """
    items = tuple(
        _item(name, captions.get(name), rows, None if texts is None else texts.get(name))
        for name, rows in references.items()
    )
    notes = ["Numbers of different models or layers don't compare; name both beside the number."]
    for problem in ("no caption", "empty caption"):
        if count := sum(item.problem == problem for item in items):
            notes.append(f"{count} of {len(items)} images have {problem}, which scores 0.")
    return Score("bertscore", dialect, summarise(items, measures(items)), items, tuple(notes))


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_bertscore`."""
    return means(NUMBERS, "captions")


def _item(name: str, caption: Tokens | None, references: Sequence[Tokens], text: str | None) -> Item:
    problem = "no caption" if caption is None else "empty caption" if caption.empty() else None
    statistics = {"captions": 1.0}
    if caption is not None and not problem:
        try:
            found = [
                bertscore(caption.embeddings, reference.embeddings, caption.weights, reference.weights)
                for reference in references
            ]
        except (DataError, ValueError) as error:
            raise DataError(f"caption {name!r}: {error}") from None
        statistics |= {number: max(getattr(one, number) for one in found) for number in NUMBERS}
    return Item(name, name, text, None, None, statistics, problem=problem)


def _arrays(path: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} holds one array; save an array an id: numpy.savez(path, **{{id: tokens}})")
        for name in archive.files:
            yield name, archive[name]
    except OSError as error:
        raise DataError(f"{path}: {reason(error)}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not an .npz archive of numbers ({error})") from None
