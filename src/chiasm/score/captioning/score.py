"""`chiasm score captions`: BLEU, ROUGE-L, CIDEr-D and CIDEr of a file of captions against a file of references."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from chiasm.data.records import paired
from chiasm.score.bootstrap import Table, summarise
from chiasm.score.captioning.bleu import bleu, bleu_counts, clipped_matches
from chiasm.score.captioning.cider import cider_scores, similarities
from chiasm.score.captioning.formats import aligned_references, read_candidates, read_references
from chiasm.score.captioning.java_tools import with_meteor, with_spice
from chiasm.score.captioning.meteor import METEOR
from chiasm.score.captioning.ngrams import ORDERS, Corpus
from chiasm.score.captioning.ptb import tokenise
from chiasm.score.captioning.rouge import rouge_l
from chiasm.score.measure import Measure, ratio
from chiasm.score.result import Item, Score, Value

DIALECT = "coco-caption"

MOST_FOR_BASELINES = 5000
"""Images that are scored a second time for the baselines."""


def score_captions(
    truth_path: Path | str | Sequence[Path | str],
    predictions_path: Path | str,
    *,
    missing: Literal["error", "wrong"] = "error",
    karpathy_split: str | None = None,
    meteor_jar: Path | str | None = None,
    spice_folder: Path | str | None = None,
) -> Score:
    """As coco-caption scores: `bleu_1` to `bleu_4` and `rouge_l` in [0, 1], `cider_d` and `cider` in [0, 10].

    What coco-caption and papers call CIDEr is `cider_d`. Files may be of any format of `formats`; several reference
    files are nlg-eval's parallel lines. Rarity of words for CIDEr is counted in the references of all images scored,
    and kept fixed in the intervals.

    `meteor_jar` and `spice_folder` are the user's own programs and add `meteor` and `spice`, as `java_tools` tells.

    Raises DataError for unreadable files and ids that do not fit; with ``missing="wrong"`` a missing caption is
    scored as an empty one. Raises ConfigError where Java or one of its programs is asked for and absent.
    """
    if isinstance(truth_path, str | Path):
        references, truth_name = read_references(truth_path, karpathy_split), str(truth_path)
    else:
        references, truth_name = aligned_references(tuple(truth_path)), ", ".join(map(str, truth_path))
    candidates = read_candidates(predictions_path)
    paired(references, candidates, truth_name, predictions_path, missing)
    items = caption_items(references, candidates)
    if meteor_jar:
        items = with_meteor(items, meteor_jar)
    if spice_folder:
        items = with_spice(items, spice_folder)
    return Score(
        "captions", DIALECT, summarise(items, measures(items)) + caption_baselines(references), items, _notes(items)
    )


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
    counts, consensus = bleu_counts(corpus, matches), cider_scores(corpus, cosines)
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


def caption_baselines(references: Mapping[str, Sequence[str]]) -> tuple[Value, ...]:
    """``baseline.another_image.METRIC``: each image's caption is a reference of another image, so that it is good
    English but says nothing about the picture. Of many images, a random `MOST_FOR_BASELINES` are scored; of a single
    image there is no other, and so no value."""
    choose = random.Random(0)
    names = choose.sample(list(references), min(len(references), MOST_FOR_BASELINES))
    if len(names) < 2:
        return ()
    following = zip(names, names[1:] + names[:1], strict=True)
    others = {name: choose.choice(references[another]) for name, another in following}
    items = caption_items({name: references[name] for name in names}, others)
    table = Table.of(items)
    sums = table.values.sum(axis=0, keepdims=True)
    return tuple(
        Value(
            f"baseline.another_image.{name}",
            float(table.evaluate(measure.of, sums)[0]),
            len(items),
            method="baseline: references of another image",
        )
        for name, measure in measures(items).items()
    )


def _problem(caption: str | None, words: str) -> str | None:
    if caption is None:
        return "no caption"
    return None if words else "empty caption"


def measures(items: Sequence[Item]) -> dict[str, Measure]:
    """The metrics of `score_captions`."""
    found = {
        **{f"bleu_{n}": Measure(partial(bleu, n=n), "captions") for n in range(1, ORDERS + 1)},
        "rouge_l": ratio("rouge_l", "captions"),
        "cider_d": ratio("cider_d", "captions", most=10.0),
        "cider": ratio("cider", "captions", most=10.0),
    }
    if "meteor.chunks" in items[0].statistics:
        found["meteor"] = METEOR
    if "spice" in items[0].statistics:
        found["spice"] = ratio("spice", "captions")
    return found


def _notes(items: Sequence[Item]) -> tuple[str, ...]:
    notes = ["cider_d is what coco-caption prints as CIDEr; cider is the unclipped original."]
    if not {"meteor.chunks", "spice"} & items[0].statistics.keys():
        notes.append("METEOR and SPICE need the user's own Java tools and are not part of this table.")
    if len(items) == 1:
        notes.append("CIDEr of one image is 0 by definition: every n-gram is in every document.")
    for problem in ("no caption", "empty caption"):
        count = sum(item.problem == problem for item in items)
        if count:
            notes.append(f"{count} of {len(items)} images have {problem} and were scored as empty text.")
    return tuple(notes)
