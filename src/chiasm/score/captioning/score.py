"""`chiasm score captions`: BLEU, ROUGE-L, CIDEr-D and CIDEr of a file of captions against a file of references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from chiasm.data.records import paired
from chiasm.score.bootstrap import summarise
from chiasm.score.captioning.bleu import bleu, clipped_matches, from_matches
from chiasm.score.captioning.cider import from_similarities, similarities
from chiasm.score.captioning.formats import aligned_references, read_candidates, read_references
from chiasm.score.captioning.ngrams import ORDERS, Corpus
from chiasm.score.captioning.ptb import tokenise
from chiasm.score.captioning.rouge import rouge_l
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score

DIALECT = "coco-caption"


def score_captions(
    truth_path: Path | str | Sequence[Path | str],
    predictions_path: Path | str,
    *,
    missing: Literal["error", "wrong"] = "error",
    karpathy_split: str | None = None,
) -> Score:
    """As coco-caption scores: `bleu_1` to `bleu_4` and `rouge_l` in [0, 1], `cider_d` and `cider` in [0, 10].

    What coco-caption and papers call CIDEr is `cider_d`. Files may be of any format of `formats`; several reference
    files are nlg-eval's parallel lines. Rarity of words for CIDEr is counted in the references of all images scored,
    and kept fixed in the intervals.

    Raises DataError for unreadable files and ids that do not fit; with ``missing="wrong"`` a missing caption is
    scored as an empty one.
    """
    if isinstance(truth_path, str | Path):
        references, truth_name = read_references(truth_path, karpathy_split), str(truth_path)
    else:
        references, truth_name = aligned_references(tuple(truth_path)), ", ".join(map(str, truth_path))
    candidates = read_candidates(predictions_path)
    paired(references, candidates, truth_name, predictions_path, missing)
    items = caption_items(references, candidates)
    return Score("captions", DIALECT, summarise(items, measures(items)), items, _notes(items))


def caption_items(references: Mapping[str, Sequence[str]], candidates: Mapping[str, str]) -> tuple[Item, ...]:
    """One item an image of `references`, with the statistics whose sums give every metric of `measures`.

    An image that `candidates` lacks is scored as an empty caption, with a `problem`.
    """
    hypotheses = [tokenise(candidates.get(image, "")) for image in references]
    tokenised = [[tokenise(caption) for caption in captions] for captions in references.values()]
    corpus = Corpus.of(hypotheses, tokenised)
    matches, cosines = [], np.zeros((2, len(corpus.image_of_reference)))
    for _, said, written in corpus.orders():  # the n-grams are numbered once for both
        matches.append(clipped_matches(said, written, corpus))
        cosines += similarities(said, written, corpus)
    counts, consensus = from_matches(corpus, matches), from_similarities(corpus, cosines)
    overlap = rouge_l(hypotheses, tokenised)
    return tuple(
        Item(
            id=image,
            image=image,
            prediction=candidates.get(image),
            parsed=hypotheses[index],
            truth=list(captions),
            statistics=counts.statistics(index)
            | {
                "rouge_l": float(overlap[index]),
                "cider_d": float(consensus.cider_d[index]),
                "cider": float(consensus.cider[index]),
                "captions": 1.0,
            },
            rule="PTB words",
            problem=_problem(candidates.get(image), hypotheses[index]),
        )
        for index, (image, captions) in enumerate(references.items())
    )


def _problem(caption: str | None, words: str) -> str | None:
    if caption is None:
        return "no caption"
    return None if words else "empty caption"


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_captions`."""
    return {
        **{f"bleu_{n}": Measure(partial(bleu, n=n), "captions") for n in range(1, ORDERS + 1)},
        "rouge_l": ratio("rouge_l", "captions"),
        "cider_d": ratio("cider_d", "captions", most=10.0),
        "cider": ratio("cider", "captions", most=10.0),
    }


def _notes(items: Sequence[Item]) -> tuple[str, ...]:
    notes = ["cider_d is what coco-caption prints as CIDEr; cider is the unclipped original."]
    notes.append("METEOR and SPICE need the user's own Java tools and are not part of this table.")
    if len(items) == 1:
        notes.append("CIDEr of one image is 0 by definition: every n-gram is in every document.")
    for problem in ("no caption", "empty caption"):
        count = sum(item.problem == problem for item in items)
        if count:
            notes.append(f"{count} of {len(items)} images have {problem} and were scored as empty text.")
    return tuple(notes)
