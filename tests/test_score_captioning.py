"""BLEU, ROUGE-L, CIDEr-D and CIDEr: by hand, against published numbers and pycocoevalcap, and what always holds."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.captioning.bleu import bleu
from chiasm.score.captioning.cider import cider
from chiasm.score.captioning.ngrams import Corpus
from chiasm.score.captioning.rouge import rouge_l
from chiasm.score.captioning.score import caption_items, measures, score_captions

PUBLISHED = {
    "good": {"bleu_1": 0.6667, "bleu_2": 0.4899, "bleu_3": 0.3469, "bleu_4": 0.0, "rouge_l": 0.4280, "cider_d": 0.5637},
    "bad": {"bleu_1": 0.4815, "bleu_2": 0.2404, "bleu_3": 0.1359, "bleu_4": 0.0, "rouge_l": 0.3121, "cider_d": 0.2790},
}


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_published_numbers_of_the_clipscore_example(shared_data: Path, kind: str) -> None:
    folder = shared_data / "scoring" / "clipscore"
    score = score_captions(folder / "refs.json", folder / f"{kind}_captions.json")
    values = {value.metric: value.value for value in score.values}
    assert {name: round(values[name] or 0.0, 4) for name in PUBLISHED[kind]} == PUBLISHED[kind]


def bleu_of_each_image(hypotheses: list[str], references: list[list[str]], n: int) -> np.ndarray:
    """BLEU-n of the captions one by one, from the statistics of their items."""
    rows = [str(row) for row in range(len(hypotheses))]
    items = caption_items(dict(zip(rows, references, strict=True)), dict(zip(rows, hypotheses, strict=True)))
    return bleu({name: np.array([item.statistics[name] for item in items]) for name in items[0].statistics}, n)


def test_bleu_by_hand() -> None:
    # "a a a" has 3 words; "a b" and "a a c d" are 1 word away: the shorter counts as reference length, no penalty.
    # Clipped: "a" at most twice (second reference), "a a" once. BLEU-1 = 2/3, BLEU-2 = sqrt(2/3 * 1/2).
    captions = ["a a a"], [["a b", "a a c d"]]
    assert bleu_of_each_image(*captions, n=1) == pytest.approx(2 / 3)
    assert bleu_of_each_image(*captions, n=2) == pytest.approx(math.sqrt(1 / 3))


def test_bleu_brevity_penalty_by_hand() -> None:
    # 2 words against 4, both right: exp(1 - 4/2).
    assert bleu_of_each_image(["a b"], [["a b c d"]], n=1) == pytest.approx(math.exp(-1))


def test_rouge_takes_precision_and_recall_from_different_references() -> None:
    # Precision 3/4 from "a b c x x x", recall 1 from "a": F = 2.44 * .75 * 1 / (1 + 1.44 * .75).
    assert rouge_l(["a b c d"], [["a b c x x x", "a"]])[0] == pytest.approx(2.44 * 0.75 / (1 + 1.44 * 0.75))


def test_cider_of_identical_captions_and_of_one_image() -> None:
    # No n-gram is shared between the images, so all have idf log 2 and each cosine is 1; four words have all orders.
    corpus = Corpus.of(["a b c d", "e f g h"], [["a b c d"], ["e f g h"]])
    assert cider(corpus).cider_d == pytest.approx([10.0, 10.0])
    assert cider(Corpus.of(["a b c d"], [["a b c d"]])).cider_d == pytest.approx([0.0])


def test_cider_d_clips_and_penalises_length_and_cider_does_not() -> None:
    # 1-grams: 2 and 1 times "a", all idf log 2. CIDEr: cosine 1. CIDEr-D: min(2, 1) * 1 / (2 * 1) = 1/2, and one bigram
    # against none costs exp(-1 / 72). Only one of the four orders has a match.
    corpus = Corpus.of(["a a", "b"], [["a"], ["b"]])
    assert cider(corpus).cider[0] == pytest.approx(10 / 4)
    assert cider(corpus).cider_d[0] == pytest.approx(10 / 4 / 2 * math.exp(-1 / 72))


WORDS = st.lists(st.sampled_from(["a", "b", "c", "dog", "cat"]), max_size=7).map(" ".join)
IMAGES = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(IMAGES)
def test_equal_to_pycocoevalcap(images: list[tuple[str, list[str]]]) -> None:
    bleu_module = pytest.importorskip("pycocoevalcap.bleu.bleu")
    cider_module = pytest.importorskip("pycocoevalcap.cider.cider")
    rouge_module = pytest.importorskip("pycocoevalcap.rouge.rouge")
    hypotheses, references = [said for said, _ in images], [lines for _, lines in images]
    truth, said = dict(enumerate(references)), {index: [line] for index, line in enumerate(hypotheses)}
    corpus = Corpus.of(hypotheses, references)
    _, official = bleu_module.Bleu(4).compute_score(truth, said, verbose=0)
    for n in range(1, 5):
        np.testing.assert_allclose(bleu_of_each_image(hypotheses, references, n), official[n - 1], atol=1e-9)
    if any(line for lines in references for line in lines):  # the official code fails on references without a word
        np.testing.assert_allclose(cider(corpus).cider_d, cider_module.Cider().compute_score(truth, said)[1], atol=1e-9)
    np.testing.assert_allclose(rouge_l(hypotheses, references), rouge_module.Rouge().compute_score(truth, said)[1])


@settings(max_examples=40, deadline=None)
@given(IMAGES, st.randoms())
def test_order_of_images_and_references_does_not_matter(images: list, random) -> None:
    mixed = [(said, random.sample(lines, len(lines))) for said, lines in random.sample(images, len(images))]
    sums = []
    for rows in (images, mixed):
        items = caption_items(
            {str(i): row[1] for i, row in enumerate(rows)}, {str(i): row[0] for i, row in enumerate(rows)}
        )
        sums.append({name: np.array([sum(item.statistics[name] for item in items)]) for name in items[0].statistics})
    for measure in measures(items).values():
        np.testing.assert_allclose(measure.of(sums[0]), measure.of(sums[1]), atol=1e-9)


def _write(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("line_break", ["\r", "\n", "\r\n", "\v", "\f", "\u2028"])
def test_a_line_break_in_a_caption_never_shifts_another_image(tmp_path: Path, line_break: str) -> None:
    captions = {str(i): f"a number{i} dog runs over grass" for i in range(6)}
    truth = _write(tmp_path, "refs.json", {name: [text] for name, text in captions.items()})
    broken = captions | {"1": captions["1"].replace(" ", line_break, 1)}
    clean, same = (
        score_captions(truth, _write(tmp_path, f"{index}.json", said)) for index, said in enumerate((captions, broken))
    )
    assert [item.statistics for item in clean.items] == [item.statistics for item in same.items]


def test_missing_captions_are_an_error_unless_counted_as_wrong(tmp_path: Path) -> None:
    truth = _write(tmp_path, "refs.json", {"1": ["a dog"], "2": ["a cat"]})
    said = _write(tmp_path, "said.json", [{"image_id": 1, "caption": "a dog"}])
    with pytest.raises(DataError, match="'2'"):
        score_captions(truth, said)
    score = score_captions(truth, said, missing="wrong")
    assert [item.problem for item in score.items] == [None, "no caption"]
    assert any("1 of 2 images have no caption" in note for note in score.notes)


def test_intervals_hold_the_value_and_are_of_the_metric(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = ["a", "dog", "cat", "runs", "sits", "on", "under", "the", "red", "grass", "sofa"]
    truth = {str(i): [" ".join(rng.choice(words, 8)) for _ in range(3)] for i in range(60)}
    said = {name: lines[0] if int(name) % 2 else " ".join(rng.choice(words, 7)) for name, lines in truth.items()}
    score = score_captions(_write(tmp_path, "t.json", truth), _write(tmp_path, "s.json", said))
    for value in score.values:
        assert value.value is not None
        if value.metric.startswith("baseline."):
            continue
        assert value.ci_low is not None
        assert value.ci_high is not None
        assert value.ci_low < value.value < value.ci_high, value
        assert value.n == 60
