"""VQAScore by a model of the user's own: pictures and texts in, a score out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from chiasm.data.images import open_image
from chiasm.data.records import by_id, records
from chiasm.errors import DataError
from chiasm.models.features import Features
from chiasm.models.protocol import VisionLanguageModel
from chiasm.score.generation.vqascore import ANSWERS, QUESTION, Logprob, score_vqascore
from chiasm.score.result import Score
from chiasm.score.tables import text_of


def vqascore_by_model(
    model: VisionLanguageModel,
    name: str,
    pairs: Path | str,
    images: Path | str | None = None,
    question: str = QUESTION,
    answers: tuple[str, str] = ANSWERS,
) -> Score:
    """`score_vqascore` of rows ``{image, text}``, perhaps with ``id`` (else image and text), by a model called `name`.

    Pictures lie in the folder `images`, that of `pairs` unless given. Raises DataError naming file and id for rows
    that don't fit, ImageError for a picture that can't be opened.
    """
    folder = Path(pairs).parent if images is None else Path(images)
    rows = [
        (number, row if "id" in row else {**row, "id": f"{row.get('image')}: {row.get('text')}"})
        for number, row in records(pairs)
    ]
    triples = []
    for key, row in by_id(pairs, rows, "id", "pair").items():
        where = f"{pairs}, id {key!r}"
        path = folder / text_of(row, ("image",), where)
        if not path.is_file():
            raise DataError(f"{where}: there is no picture {path}")
        triples.append((key, path, text_of(row, ("text",), where)))
    if not triples:
        raise DataError(f"{pairs}: no pair in it")
    score = score_vqascore(logprob_of(model), triples, question, answers)
    return replace(score, dialect=f"{name}: {score.dialect}")


def logprob_of(model: VisionLanguageModel) -> Logprob:
    """A model's log-probabilities as `vqascore` takes them. The last picture is kept, so that many texts about one
    picture in a row encode it once."""

    @lru_cache(maxsize=1)
    def seen(path: Path) -> Features:
        return model.connect(model.encode([open_image(path)]))

    @torch.inference_mode()
    def logprob(image: Path, prompt: str, answers: Sequence[str]) -> Sequence[float]:
        return model.logprob(seen(image), [[prompt] * len(answers)], [list(answers)])[0]

    return logprob
