"""A diagnosis from pictures to folder with chiasm-tiny, and the parts it is made of."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.open import open_dataset
from chiasm.errors import DataError, RunError
from chiasm.examine.diagnosis.answers import ask
from chiasm.examine.diagnosis.diagnose import Plan, diagnose
from chiasm.examine.diagnosis.lessons import look, swapped
from chiasm.models.features import Features
from chiasm.models.open import open_model
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.lesions import Lesioned, blur, directions_kept, faded, planted, tokens_lost
from chiasm.probe.question_readout import Lessons, Projection, Recipe, answer_classes, fit_readouts

QUICK = Recipe(epochs=1)


@pytest.fixture(scope="module")
def model() -> VisionLanguageModel:
    return open_model("chiasm-tiny")


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked.of(open_dataset("scenes:test"), 8)


def test_answers_are_those_of_the_model_and_blind_ones_are_of_the_next_picture(
    model: VisionLanguageModel, asked: Asked
) -> None:
    said = ask(model, asked, batch=4)
    images = [images for _, images in asked.batches(4)]
    features = model.connect(model.encode(images[0]))
    alone = model.generate(features.select([1]), [asked.texts[1]])[0]
    start = len(asked.texts[0])
    assert [answer.text for answer in alone] == said.text[start : start + len(alone)]
    assert said.right.mean() > 0.9 > 0.6 > said.blind.mean()
    truths = [[[accepted[0] for accepted in asked.accepted[3]]]]
    swapped_value = model.logprob(features.select([0]), [asked.texts[3]], truths[0])[0]
    at = sum(len(group) for group in asked.texts[:3])
    assert said.logprob_blind[at : at + len(swapped_value)] == pytest.approx(swapped_value, abs=1e-3)


def test_the_last_batch_is_never_one_picture() -> None:
    asked = Asked.of(open_dataset("scenes:test"), 9)
    assert [len(images) for _, images in asked.batches(4)] == [5, 4]


def test_a_stopped_diagnosis_goes_on_and_another_is_refused(
    model: VisionLanguageModel, asked: Asked, tmp_path: Path
) -> None:
    plan = Plan(lessons=Asked.of(open_dataset("scenes:train"), 12), recipe=QUICK, seeds=(0,), batch=4, layer=-1)
    whole, readings, _ = diagnose(model, asked, plan, tmp_path / "a", {"model": "tiny"})
    assert readings.sites == ("encoder", "connector", "decoder.-1")
    rows = [json.loads(line) for line in (tmp_path / "a" / "items.jsonl").read_text().splitlines()]
    assert len(rows) == len(readings.kind)
    assert {row["right"] for row in rows if "verdict" in row} <= {False}
    for name in ("hits-connector.json", "diagnosis.json", "items.jsonl"):
        (tmp_path / "a" / name).unlink()
    again, _, _ = diagnose(model, asked, plan, tmp_path / "a", {"model": "tiny"})
    assert again.kinds == whole.kinds
    with pytest.raises(RunError, match="other model"):
        diagnose(model, asked, plan, tmp_path / "a", {"model": "another"})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "holiday.txt").write_text("")
    with pytest.raises(RunError, match="something else"):
        diagnose(model, asked, plan, tmp_path / "b", {})


def test_without_lessons_every_fold_is_read_by_readouts_of_the_others(model: VisionLanguageModel, asked: Asked) -> None:
    found, readings, _ = diagnose(model, asked, Plan(recipe=QUICK, seeds=(0,), batch=4, folds=2, layer=0))
    assert sum(kind.asked for kind in found.kinds[:-1]) == found.kinds[-1].asked == len(readings.kind)
    assert set(np.unique(readings.hit["encoder"])) <= {0.0, 1.0}


def test_a_readout_learns_what_the_features_hold_and_nothing_where_they_hold_nothing() -> None:
    # The answer stands in one feature of one of four tokens, and the question says in which token.
    generator = torch.Generator().manual_seed(0)
    value = torch.randint(0, 2, (600, 4), generator=generator)
    tokens = torch.randn(600, 4, 8, generator=generator)
    tokens[:, :, 0] = 2.0 * value - 1
    questions = [["upper left?", "upper right?", "lower left?", "lower right?"]] * 600
    answers = [[("yes",) if v else ("no",) for v in row] for row in value.tolist()]

    def lessons(rows: range, held: torch.Tensor) -> Lessons:
        features = Features(held[rows.start : rows.stop].flatten(0, 1), ((2, 2),) * len(rows), "encoder")
        return Lessons(
            Projection(held.flatten(0, 1))(features), questions[: len(rows)], answers[rows.start : rows.stop]
        )

    for held, rate in ((tokens, 0.95), (torch.randn(600, 4, 8, generator=generator), 0.5)):
        taught, tested = lessons(range(400), held), lessons(range(400, 600), held)
        ensemble = fit_readouts(taught, answer_classes(taught), Recipe(epochs=15), seeds=(0,))
        hits = np.mean([hit for row in ensemble.hits(tested) for hit in row])
        assert hits == pytest.approx(rate, abs=0.06)
        if rate > 0.9:
            other = np.mean([hit for row in ensemble.hits(swapped(tested)) for hit in row])
            assert other == pytest.approx(0.5, abs=0.06)


def test_features_of_any_grid_are_read_together() -> None:
    # Padding must not be looked at: the same picture alone and beside a larger one is answered alike.
    tokens = torch.randn(2 + 12, 6, generator=torch.Generator().manual_seed(1))
    both = Lessons(Features(tokens, ((1, 2), (3, 4)), "x"), [["a?"], ["b?"]], [[("yes",)], [("no",)]])
    ensemble = fit_readouts(both, ("yes", "no"), Recipe(epochs=3), seeds=(0,))
    alone = Lessons(both.features.select([0]), [["a?"]], [[("yes",)]])
    assert ensemble.hits(alone)[0] == ensemble.hits(both)[0]


def test_a_lesion_acts_at_its_stage_and_nowhere_before(model: VisionLanguageModel, asked: Asked) -> None:
    (_, images), *_ = asked.batches(8)
    whole = model.capture(images, ["encoder", "connector"])
    mean = whole["connector"].tokens.mean(dim=0)
    for lesion in planted(mean):
        hurt = lesion.on(model).capture(images, ["encoder", "connector"])
        changed = [not torch.equal(hurt[site].tokens, whole[site].tokens) for site in ("encoder", "connector")]
        first = {"encoder": 0, "connector": 1}.get(lesion.stage, 2)
        assert changed == [first <= 0, first <= 1], lesion.name
    blind = Lesioned(model, decoder=faded(1.0, mean))
    values = blind.logprob(whole["connector"].select([0, 1]), [["what is the scene?"]] * 2, [["desk"]] * 2)
    assert values[0] == pytest.approx(values[1])


def test_lesions_lose_what_they_say(model: VisionLanguageModel) -> None:
    tokens = torch.randn(2 * 16, 8, generator=torch.Generator().manual_seed(0))
    features = Features(tokens, ((4, 4), (4, 4)), "connector")
    lost = tokens_lost(0.75)(features).tokens
    kept = (lost == tokens).all(dim=1).split(16)
    assert [int(part.sum()) for part in kept] == [4, 4]
    assert len(tokens_lost(1.0)(features).tokens[:16].unique(dim=0)) == 1
    mean = tokens.mean(dim=0)
    assert torch.linalg.matrix_rank(directions_kept(3, mean)(features).tokens - mean, atol=1e-4) == 3
    assert torch.allclose(directions_kept(8, mean)(features).tokens, tokens, atol=1e-5)
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[10:] = 255
    assert np.ptp(np.asarray(blur(5.0)(picture))) < 60 < np.ptp(picture)


def test_the_command_and_what_it_refuses(tmp_path: Path) -> None:
    arguments = ["diagnose", "chiasm-tiny", "scenes:test", "-o", str(tmp_path / "d"), "-n", "4", "--json"]
    ran = CliRunner().invoke(app, [*arguments, "--lessons", "scenes:train", "--lesson-pictures", "6"])
    assert ran.exit_code == 0, ran.output
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["kinds"][-1]["name"] is None
    assert [size["name"] for size in summary["sizes"]] == ["small", "medium", "large", "no single object"]
    for sites in ("encoder", "connector,encoder", "encoder,retina,connector"):
        ran = CliRunner().invoke(app, [*arguments[:-1], "--sites", sites])
        assert ran.exit_code == 1
        assert "--sites" in ran.output
    with pytest.raises(DataError, match="no question with an answer"):
        Asked.of(_Unasked(), 3)


class _Unasked:
    name = "unasked"

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int):
        from chiasm.types import Example

        return Example(str(index), np.zeros((8, 8, 3), np.uint8))


def test_nan_features_are_refused(model: VisionLanguageModel, asked: Asked) -> None:
    class Broken(Lesioned):
        def encode(self, images):
            features = self.model.encode(images)
            return Features(features.tokens * float("nan"), features.grids, features.site)

    with pytest.raises(DataError, match="not finite"):
        look(Broken(model), asked, ["encoder"], 4, {})
