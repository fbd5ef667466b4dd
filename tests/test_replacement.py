"""Connectors in the place of a model's own: shapes, training, and how they are held against the original."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import tiny_training
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import DATA, tiny_model
from torch import Tensor, nn
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, DataError
from chiasm.examine.replacement import compare_replacement
from chiasm.models.connectors import PatchMerger
from chiasm.models.features import Features, Grid
from chiasm.models.protocol import Dialect
from chiasm.models.replacement import KINDS, Coupling, Replacement, _cells, cell_of
from chiasm.models.vlm import VLM
from chiasm.probe.replaced import Replaced
from chiasm.training.objectives.replacement import ReplacementLosses
from chiasm.training.replacement import ReplacementPlan, train_replacement, untrained_replacement

one_thread = tiny_training.one_thread
PROMPTS = {"caption": "describe the picture", "scene": "name the scene"}


def describing() -> VLM:
    model = tiny_model().eval()
    model.dialect = Dialect(PROMPTS)
    return model


def features(grids: tuple[Grid, ...], width: int, seed: int = 0) -> Features:
    count = sum(rows * columns for rows, columns in grids)
    return Features(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)), grids, "encoder")


def plan(**changes: Any) -> ReplacementPlan:
    settings: dict[str, Any] = {"kind": "linear", "loss": "both", "data": DATA, "held_out": 4, "steps": 6, "batch": 4}
    return ReplacementPlan(**{**settings, **changes})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [((2, 2), (1, 3)), ((1, 5), (1, 2))])
def test_every_kind_gives_the_tokens_that_the_decoder_expects(kind: str, after: tuple[Grid, ...]) -> None:
    """Where grids divide, and where they do not; each picture by itself as in the batch."""
    before = features(((4, 4), (2, 6)), 16)
    torch.manual_seed(0)
    replacement = Replacement(kind, 16, 12, cell_of(before.grids, after)).eval()
    together = replacement(before, after)
    assert together.shape == (sum(rows * columns for rows, columns in after), 12)
    alone = torch.cat([replacement(before.select([i]), [after[i]]) for i in range(2)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_cells_are_those_of_a_patch_merger() -> None:
    merger = PatchMerger(8, 4)
    tokens = features(((6, 4),), 8).tokens
    assert torch.equal(_cells(tokens, (6, 4), (3, 2), (2, 2)), merger._squares(tokens, (6, 4)))
    assert cell_of([(6, 4), (2, 2)], [(3, 2), (1, 1)]) == (2, 2)
    assert cell_of([(6, 4), (2, 2)], [(3, 2), (2, 2)]) is None
    assert cell_of([(3, 4)], [(2, 2)]) is None


@given(width=st.integers(2, 9), second=st.booleans(), seed=st.integers(0, 99))
def test_a_coupling_can_be_undone(width: int, second: bool, seed: int) -> None:
    torch.manual_seed(seed)
    coupling, x = Coupling(width, 8, second).double(), torch.randn(5, width, dtype=torch.float64)
    assert torch.equal(coupling(x), x)  # starts as the identity
    for parameter in coupling.parameters():
        nn.init.normal_(parameter)
    y = coupling(x)
    kept = slice(width - width // 2, None) if second else slice(0, width // 2)
    assert torch.equal(y[:, kept], x[:, kept])
    assert torch.allclose(coupling.inverse(y), x, atol=1e-9)


def test_it_starts_at_the_scale_of_the_own_e_post() -> None:
    model = describing()
    replacement = untrained_replacement(model, plan(kind="flow"))
    e_pre = model.encode([open_dataset(DATA)[i].image for i in range(4, 20)])
    own = model.connect(e_pre)
    assert torch.allclose(replacement.mean, own.tokens.mean(dim=0), atol=1e-6)
    standard = replacement.standardised(own.tokens)
    assert torch.allclose(standard.std(dim=0), torch.ones(32), atol=1e-4)


@pytest.mark.parametrize("loss", ["match", "caption"])
def test_training_lowers_the_loss_and_leaves_the_model_as_it_was(loss: Any, tmp_path: Path) -> None:
    model = describing()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train_replacement(model, plan(loss=loss, kind="mlp", steps=60, learning_rate=1e-2), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "training" / "log.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert rows[-1][loss] < (0.7 if loss == "match" else 0.9) * rows[0][loss]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_losses_by_hand() -> None:
    """Captions as minus the model's own log-probability; the match in parts of each channel's variance."""
    model = describing()
    replacement = untrained_replacement(model, plan())
    losses = ReplacementLosses(replacement, open_dataset(DATA), model, "both", held_out=4, per_image=2)
    batch = losses.prepare([(0, 0), (3, 19), (0, 20)])
    # 20 pictures are left of 24, so that number 20 is the first again, in another draw for another epoch.
    assert batch.images[0].tobytes() == batch.images[2].tobytes()
    assert batch.prompts[0] == batch.prompts[2]
    assert losses.counts(batch) == {"caption": sum(map(len, batch.answers)), "match": 3}
    found = losses.losses(batch)
    e_pre = model.encode(batch.images)
    given_ = Replaced(model, replacement=replacement).connect(e_pre)
    values = model.logprob(given_, batch.prompts, batch.answers)
    assert found["caption"].item() == pytest.approx(-sum(sum(group) for group in values), rel=1e-4)
    difference = (given_.tokens - model.connect(e_pre).tokens) / replacement.deviation
    assert found["match"].item() == pytest.approx(3 * difference.square().mean().item(), rel=1e-4)


def test_stopped_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = train_replacement(describing(), plan(kind="resampler"), tmp_path / "straight")
    losses, calls = ReplacementLosses.losses, []

    def interrupted(self: ReplacementLosses, batch: Any) -> dict[str, Tensor]:
        calls.append(None)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        return losses(self, batch)

    monkeypatch.setattr(ReplacementLosses, "losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_replacement(describing(), plan(kind="resampler"), tmp_path / "stopped")
    resumed = train_replacement(describing(), plan(kind="resampler"), tmp_path / "stopped")
    assert len(calls) == 6
    again = train_replacement(describing(), plan(kind="resampler"), tmp_path / "stopped")
    assert len(calls) == 6
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name])
        assert torch.equal(tensor, again.state_dict()[name])


def test_another_plan_and_bad_plans_are_refused(tmp_path: Path) -> None:
    model = describing()
    train_replacement(model, plan(steps=1), tmp_path, {"model": "a"})
    with pytest.raises(ConfigError, match="another training: model was 'a' and is now 'b'; steps was 1 and is now 2"):
        train_replacement(model, plan(steps=2), tmp_path, {"model": "b"})
    with pytest.raises(ConfigError, match="did you mean 'linear'"):
        plan(kind="linar")
    with pytest.raises(DataError, match="24 pictures; with 24 held out none is left"):
        train_replacement(model, plan(held_out=24), tmp_path / "none")
    silent = tiny_model()
    losses = ReplacementLosses(untrained_replacement(silent, plan()), open_dataset(DATA), silent, "caption")
    with pytest.raises(DataError, match="neither caption nor answered question"):
        losses._texts(type(open_dataset(DATA)[0])("bare", None), 0)


class Exact(nn.Module):
    """The own connector under another name."""

    def __init__(self, model: VLM) -> None:
        super().__init__()
        self.own = (model,)

    def forward(self, e_pre: Features, grids: tuple[Grid, ...]) -> Tensor:
        return self.own[0].connect(e_pre).tokens


def test_a_perfect_replacement_is_as_good_as_the_original() -> None:
    model, data = describing(), open_dataset(DATA)
    exact: Any = Exact(model)
    found = {one.name: one for one in compare_replacement(
        model, exact, untrained_replacement(model, plan()), data, 8, batch=4)}  # fmt: skip
    assert set(found) == {"answers.right", "answers.logprob", "captions.logprob", "match.r2", "match.cosine"}
    for one in found.values():
        assert one.ceiling is not None
        assert one.value == pytest.approx(one.ceiling.value, abs=1e-5)
    assert found["match.r2"].value == pytest.approx(1)
    assert found["match.cosine"].null.value < 0.999  # type: ignore[union-attr]
    assert found["match.r2"].control.value < 0.5  # type: ignore[union-attr]


def test_too_few_pictures_to_measure_on() -> None:
    model = describing()
    replacement = untrained_replacement(model, plan())
    with pytest.raises(DataError, match="1 pictures to measure on"):
        compare_replacement(model, replacement, replacement, open_dataset(DATA), 1)


@pytest.mark.slow
def test_command_trains_measures_and_goes_on(tmp_path: Path) -> None:
    arguments = ["probe", "replace", "chiasm-tiny", "scenes:test", "-n", "3", "--steps", "2", "--json"]
    arguments += ["-o", str(tmp_path), "--with", "flow", "--loss", "match"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    names = [one["name"] for one in json.loads(first.stdout)]
    assert names == ["answers.right", "answers.logprob", "captions.logprob", "match.r2", "match.cosine"]
    again = CliRunner().invoke(app, arguments)
    assert again.stdout == first.stdout
    other = CliRunner().invoke(app, [*arguments, "--seed", "1"])
    assert other.exit_code == 1
    assert "seed was 0 and is now 1" in " ".join(other.output.split())
