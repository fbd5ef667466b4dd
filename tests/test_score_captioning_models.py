"""CHAIR, embedding scores and the bridges to Java."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.captioning.bridges import meteor, spice
from chiasm.score.captioning.chair import Vocabulary, score_chair
from chiasm.score.captioning.coco_words import COCO_WORDS
from chiasm.score.captioning.embeddings import bertscore, clipscore, ref_clipscore
from chiasm.score.captioning.formats import read_candidates, read_references
from chiasm.score.captioning.ptb import tokenise


@pytest.mark.parametrize(
    ("caption", "mentions"),
    [
        ("Two hot dogs and a dog", ["hot dog", "dog"]),
        ("a baby elephant beside a baby", ["elephant", "person"]),
        ("a passenger jet and a passenger train", ["airplane", "train"]),
        ("a train track at home plate", []),
        ("the man's bow tie, a toilet seat", ["person", "tie", "toilet"]),
        ("he sits on the seat of a toilet", ["toilet"]),
        ("women with teddy bears watch TVs", ["person", "teddy bear", "tv"]),
        ("", []),
    ],
)
def test_mentions(caption: str, mentions: list[str]) -> None:
    assert Vocabulary().mentions(caption) == mentions


def test_vocabulary_has_coco_classes_and_no_name_twice(shared_data: Path) -> None:
    content = json.loads((shared_data / "coco-mini" / "annotations" / "instances_val2017.json").read_text())
    assert {row["name"] for row in content["categories"]} == set(COCO_WORDS)
    names = [name for group in COCO_WORDS.items() for name in (group[0], *group[1])]
    assert len(names) == len(set(names))


def test_chair_by_hand(tmp_path: Path) -> None:
    # Image 1: dog there, cat not; image 2: cup annotated, table only in a reference. 3 mentions, 1 hallucinated, in 1
    # of 2 captions and among 5 + 2 words; of 3 true objects (dog; cup, table) 2 are mentioned (dog, table).
    (tmp_path / "instances.json").write_text(json.dumps({
        "images": [{"id": 1}, {"id": 2}], "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cup"}],
        "annotations": [{"image_id": 1, "category_id": 1}, {"image_id": 2, "category_id": 2}]}))  # fmt: skip
    (tmp_path / "refs.json").write_text(json.dumps({"1": ["nothing"], "2": ["on a table"]}))
    (tmp_path / "said.json").write_text(json.dumps({"1": "a dog and a cat", "2": "a desk"}))
    score = score_chair(tmp_path / "instances.json", tmp_path / "said.json", tmp_path / "refs.json")
    assert {value.metric: value.value for value in score.values} == pytest.approx(
        {"chair_i": 1 / 3, "chair_s": 1 / 2, "recall": 2 / 3, "hallucinated_per_100_words": 100 / 7}
    )
    assert [value.n for value in score.values] == [3, 2, 3, 7]


def test_chair_needs_words_for_every_class(tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(
        '{"images": [{"id": 1}], "categories": [{"id": 1, "name": "robot"}], "annotations": []}'
    )
    (tmp_path / "said.json").write_text('{"1": "a robot"}')
    with pytest.raises(DataError, match="robot"):
        score_chair(tmp_path / "i.json", tmp_path / "said.json")
    score = score_chair(tmp_path / "i.json", tmp_path / "said.json", words={"robot": ["android"]})
    assert score.items[0].statistics["hallucinated"] == 1


def test_clipscores_by_hand() -> None:
    images, captions = np.array([[2.0, 0.0], [1.0, 0.0]]), np.array([[3.0, 4.0], [-1.0, 0.0]])
    # Cosines .6 and -1: 2.5 * .6 and 0. The first caption's best reference has cosine 1: 2 * 1.5 * 1 / 2.5.
    assert clipscore(images, captions) == pytest.approx([1.5, 0.0])
    references = [np.array([[0.6, 0.8], [1.0, 0.0]]), np.array([[1.0, 0.0]])]
    assert ref_clipscore(images, captions, references) == pytest.approx([1.2, 0.0])


def test_bertscore_by_hand() -> None:
    # Tokens e1, e2 against e1: each finds e1: precision (1 + 0) / 2, recall 1.
    score = bertscore(np.eye(2), np.eye(2)[:1])
    assert (score.precision, score.recall, score.f1) == pytest.approx((0.5, 1.0, 2 / 3))
    weighted = bertscore(np.eye(2), np.eye(2)[:1], caption_weights=np.array([3.0, 1.0]))
    assert weighted.precision == pytest.approx(0.75)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_bertscore_swaps_precision_and_recall_and_ignores_length(ours: int, theirs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(ours, 5)), rng.normal(size=(theirs, 5))
    forward, backward = bertscore(a, b), bertscore(3 * b, a / 7)
    assert (forward.precision, forward.recall) == pytest.approx((backward.recall, backward.precision))
    assert bertscore(a, a).f1 == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [np.zeros((1, 2)), np.full((1, 2), math.nan), np.ones(2), np.ones((0, 2))])
def test_embeddings_that_mean_nothing(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="embedding"):
        clipscore(bad, np.ones((1, 2)))


def test_missing_programs_say_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(ConfigError, match=r"meteor-1\.5\.jar"):
        meteor(tmp_path / "none.jar", ["a"], [["a"]])
    with pytest.raises(ConfigError, match=r"spice-1\.0\.jar"):
        spice(tmp_path / "none.jar", {"1": "a"}, {"1": ["a"]})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="install a Java"):
        meteor(tmp_path / "none.jar", ["a"], [["a"]])


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "published"), [("good", 0.3444), ("bad", 0.1861)])
def test_meteor_has_the_published_numbers(shared_data: Path, kind: str, published: float) -> None:
    package = pytest.importorskip("pycocoevalcap.meteor.meteor")
    if shutil.which("java") is None:
        pytest.skip("no Java here")
    folder = shared_data / "scoring" / "clipscore"
    references, said = read_references(folder / "refs.json"), read_candidates(folder / f"{kind}_captions.json")
    result = meteor(
        Path(package.__file__).with_name("meteor-1.5.jar"),
        [tokenise(said[name]) for name in references],
        [[tokenise(caption) for caption in captions] for captions in references.values()],
    )
    assert result.corpus == pytest.approx(published, abs=5e-5)
