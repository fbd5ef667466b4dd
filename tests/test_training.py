"""The loop: exact sums, parts that hold still, and runs that end the same whatever stops them on the way."""

from __future__ import annotations

import errno
import math
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import DATA, assert_same, log, one_thread, tiny_model, tiny_stage, trained  # noqa: F401
from torch import Tensor, nn

from chiasm.data.open import open_dataset
from chiasm.errors import CheckpointError, ChiasmError, ConfigError, ImageError
from chiasm.models.checkpoint import read_tensors
from chiasm.models.vlm import VLM
from chiasm.training import feature_cache, loop, state
from chiasm.training.batches import indices, prefetched
from chiasm.training.feature_cache import stored_features
from chiasm.training.objectives.language import Language
from chiasm.training.stage import Full, Lora, assign, freeze


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


# Which examples, how much they count


def test_every_epoch_shows_every_example_once_in_an_order_of_its_own() -> None:
    places = [place for step in range(6) for place in indices(step, 5, 10, seed=0)]
    epochs = [[i for e, i in places if e == epoch] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert places[25:30] == indices(5, 5, 10, seed=0)
    assert places[:5] != indices(0, 5, 10, seed=1)


def test_a_batch_may_be_larger_than_the_dataset() -> None:
    assert sorted(indices(0, 7, 3, seed=0)) == sorted(
        [(e, i) for e in range(2) for i in range(3)] + [(2, indices(2, 3, 3, 0)[0][1])]
    )


def plain_descent(learner: nn.Module, *_: Any) -> torch.optim.SGD:
    """Adam blows rounding up where a gradient is nearly zero; this shows the gradient as it is."""
    learning = [p for p in learner.parameters() if p.requires_grad]
    return torch.optim.SGD([{"params": learning, "lr": 0.5, "peak_lr": 0.5}])


@pytest.mark.parametrize("options", [{"per_image": 3}, {"per_image": 3, "with_images": False}])
def test_micro_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict) -> None:
    """Answers are of different lengths, so means of means would differ. 3 leaves a ragged last micro-batch."""
    monkeypatch.setattr(loop, "optimizer", plain_descent)
    stage = tiny_stage(batch=8, steps=3, options=options)
    whole = trained(replace(stage, micro_batch=8), tmp_path / "8")
    assert not torch.equal(whole.decoder.embed.weight, tiny_model().decoder.embed.weight)
    for micro in (2, 3):
        parts = trained(replace(stage, micro_batch=micro), tmp_path / str(micro))
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(parts.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
        for row, expected in zip(log(tmp_path / str(micro)), log(tmp_path / "8"), strict=True):
            assert row == pytest.approx(expected, rel=1e-5)


def test_micro_batches_of_patches_make_no_difference(tmp_path: Path) -> None:
    stage = tiny_stage(
        objective="patches",
        options={"survey": 4},
        train=(("encoder.*", Full(1e-3)), (".*", "frozen")),
        batch=8,
        steps=1,
    )
    for micro in (1, 8):
        trained(replace(stage, micro_batch=micro), tmp_path / str(micro))
    assert log(tmp_path / "1")[0] == pytest.approx(log(tmp_path / "8")[0], rel=1e-5)


def test_the_first_gradient_is_that_of_the_mean_over_all_targets(tmp_path: Path) -> None:
    stage = tiny_stage(batch=4, micro_batch=1, steps=1)
    trained(stage, tmp_path)
    model = tiny_model()
    objective = Language(model, open_dataset(DATA), per_image=3)
    batch = objective.prepare(indices(0, 4, 24, seed=0))
    mean = objective.losses(batch)["language"] / len(batch.ids)
    mean.backward()
    norm = math.sqrt(sum(p.grad.square().sum().item() for p in model.parameters() if p.grad is not None))
    assert log(tmp_path)[0] == pytest.approx({"step": 1, "language": mean.item(), "gradient norm": norm}, rel=1e-5)


def test_a_parameter_without_a_part_decays_but_nothing_else(tmp_path: Path) -> None:
    """Its gradient is zero, in one process as in many."""
    stage = tiny_stage(options={"with_images": False}, steps=2, warmup=0, weight_decay=0.5)
    before, model = tiny_model(), trained(stage, tmp_path)
    torch.testing.assert_close(model.connector.up.bias, before.connector.up.bias)
    torch.testing.assert_close(
        model.connector.up.weight, before.connector.up.weight * (1 - 0.01 * 0.5) * (1 - 0.005 * 0.5)
    )


# Parts that hold still


def test_frozen_parts_do_not_move_and_move_again_when_thawed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    optimized: list[nn.Parameter] = []
    step = torch.optim.AdamW.step

    def spy(adam: torch.optim.AdamW, *args: Any) -> Any:
        optimized[:] = [p for group in adam.param_groups for p in group["params"]]
        return step(adam, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    model = tiny_model()
    before = weights(model)
    only_connector = (("connector.*", Full(1e-2)), (".*", "frozen"))
    trained(tiny_stage(train=only_connector, weight_decay=1.0), tmp_path / "align", model)
    after = weights(model)
    for name in before:
        assert torch.equal(before[name], after[name]) == (not name.startswith("connector")), name
    assert {id(p) for p in optimized} == {id(p) for p in model.connector.parameters()}
    model.train()
    assert not model.encoder.training
    assert not model.decoder.training

    trained(tiny_stage(weight_decay=1.0), tmp_path / "tune", model)
    still = [name for name, tensor in model.state_dict().items() if torch.equal(tensor, after[name])]
    assert still == []


# Features of a frozen encoder, stored


ALIGN = (("connector.*", Full(1e-2)), (".*", "frozen"))
STORED = {"per_image": 3, "store_features": True}


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of `encode` got."""
    sizes: list[int] = []
    encode = VLM.encode
    monkeypatch.setattr(VLM, "encode", lambda self, images: (sizes.append(len(images)), encode(self, images))[1])
    monkeypatch.setattr(feature_cache, "CHUNK", 10)
    return sizes


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stored_features_train_the_same_model(tmp_path: Path, encodings: list[int], precision: str) -> None:
    plain = trained(tiny_stage(train=ALIGN, precision=precision), tmp_path / "plain")
    stored = trained(tiny_stage(train=ALIGN, precision=precision, options=STORED), tmp_path / "stored")
    assert encodings == [10, 10, 4]
    tolerance = 1e-5 if precision == "fp32" else 2e-3
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(stored.state_dict()[name], tensor, rtol=tolerance, atol=tolerance, msg=name)


def test_the_store_is_read_again_and_filled_where_it_has_holes(tmp_path: Path, encodings: list[int]) -> None:
    stage, dataset, model = tiny_stage(train=ALIGN, options=STORED), open_dataset(DATA), tiny_model()
    freeze(model, assign(model, stage.train))
    first = stored_features(model, dataset, tmp_path, stage)
    everything = first(range(24))
    assert encodings == [10, 10, 4]
    again = stored_features(model, dataset, tmp_path, stage)
    assert encodings == [10, 10, 4]
    assert torch.equal(again([23, 0, 11]).tokens, everything.select([23, 0, 11]).tokens)

    hole = next(tmp_path.glob("*/0000010"))
    (hole / "features.safetensors").unlink()
    hole.rmdir()
    mended = stored_features(model, dataset, tmp_path, stage)
    assert encodings == [10, 10, 4, 10]
    assert torch.equal(mended(range(24)).tokens, everything.tokens)


def test_a_changed_encoder_gets_a_store_of_its_own(tmp_path: Path, encodings: list[int]) -> None:
    stage, dataset, model = tiny_stage(train=ALIGN), open_dataset(DATA), tiny_model()
    freeze(model, assign(model, stage.train))
    stored_features(model, dataset, tmp_path, stage)
    with torch.no_grad():
        model.encoder.positions[0, 0] += 1
    changed = stored_features(model, dataset, tmp_path, stage)
    assert len(encodings) == 6
    with torch.inference_mode():
        fresh = model.encode([dataset[3].image])
    torch.testing.assert_close(changed([3]).tokens, fresh.tokens, rtol=1e-5, atol=1e-5)
    stored_features(model, open_dataset(DATA + "&seed=1"), tmp_path, stage)
    assert encodings == [10, 10, 4] * 2 + [1] + [10, 10, 4]


def test_processes_share_out_the_encoding_whoever_is_first(
    tmp_path: Path, encodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, dataset, model = tiny_stage(train=ALIGN), open_dataset(DATA), tiny_model()
    freeze(model, assign(model, stage.train))
    monkeypatch.setattr(feature_cache.distributed, "world", lambda: 2)
    with pytest.raises(FileNotFoundError):  # there is no second process yet to wait for
        stored_features(model, dataset, tmp_path, stage)
    monkeypatch.setattr(feature_cache.distributed, "rank", lambda: 1)
    assert len(stored_features(model, dataset, tmp_path, stage)(range(24))) == 24
    assert encodings == [10, 4, 10]


def test_features_of_a_trained_encoder_are_not_stored(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'tune' trains the encoder"):
        trained(tiny_stage(options=STORED), tmp_path)


# Stopped and gone on with


class Killed(BaseException):
    """Stands for the end of the process: no handler of the library catches it."""


def stop_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, error: BaseException) -> None:
    """The given call of `owner.name`, counted from 1, raises instead."""
    original, calls = getattr(owner, name), 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, stopping)


MOMENTS = {
    "in the first step": (loop, "_step", 1),
    "between two checkpoints": (loop, "_step", 4),
    "while the weights are written": (state, "save_file", 4),
    "while the moments are written": (state, "save_file", 6),
    "before the old checkpoint is dropped": (state.shutil, "rmtree", 2),
    "in the last step": (loop, "_step", 8),
    "before the last checkpoint": (state, "save", 4),
}
SEE = {
    "objective": "patches",
    "options": {"survey": 4},
    "train": (("encoder.*", Full(1e-2)), (".*", "frozen")),
    "micro_batch": 2,
}
KINDS: dict[str, dict[str, Any]] = {"language": {}, "language in bf16": {"precision": "bf16"}, "patches": SEE}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[VLM, Path]]:
    """Each kind of stage, trained in one go."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken")
    return {
        kind: (trained(tiny_stage(steps=8, save_every=2, **settings), folder / kind), folder / kind)
        for kind, settings in KINDS.items()
    }


# "patches" has all that is saved: weights, moments and an objective's heads. Two moments are enough for the others.
STOPS = [("patches", moment) for moment in MOMENTS] + [
    (kind, moment)
    for kind in ("language", "language in bf16")
    for moment in ("between two checkpoints", "while the moments are written")
]


@pytest.mark.parametrize(("kind", "moment"), STOPS)
def test_a_stopped_stage_goes_on_to_the_same_weights(
    tmp_path: Path, unbroken: dict[str, tuple[VLM, Path]], kind: str, moment: str
) -> None:
    stage = tiny_stage(steps=8, save_every=2, **KINDS[kind])
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, *MOMENTS[moment], Killed())
        with pytest.raises(Killed):
            trained(stage, tmp_path)
    model, folder = unbroken[kind]
    assert_same(trained(stage, tmp_path), model)
    assert log(tmp_path) == log(folder)
    assert [row["step"] for row in log(tmp_path)] == list(range(1, 9))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl", "step-0000008"]


def test_a_finished_stage_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(tiny_stage(), tmp_path)
    rows = (tmp_path / "log.jsonl").read_bytes()
    stop_at(monkeypatch, loop, "_step", 1, Killed())
    assert_same(trained(tiny_stage(), tmp_path), model)
    assert (tmp_path / "log.jsonl").read_bytes() == rows


def test_a_half_written_log_row_and_checkpoint_are_swept_away(tmp_path: Path) -> None:
    """What kill -9 leaves behind when it comes while something is written."""
    stage = tiny_stage(steps=4, save_every=2)
    expected = trained(stage, tmp_path / "a")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, loop, "_step", 4, Killed())
        with pytest.raises(Killed):
            trained(stage, tmp_path / "b")
    (tmp_path / "b" / ".step-0000004-killed").mkdir()
    (tmp_path / "b" / ".step-0000004-killed" / "model.safetensors").write_bytes(b"half")
    with (tmp_path / "b" / "log.jsonl").open("a") as file:
        file.write('{"stage": "tune", "st')
    assert_same(trained(stage, tmp_path / "b"), expected)
    assert log(tmp_path / "b") == log(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["log.jsonl", "step-0000004"]


def test_low_rank_updates_go_on_and_leave_the_next_stage_as_it_would_be(tmp_path: Path) -> None:
    """Merging must not change the order of parameters: moments are stored, and norms added up, in that order."""
    rules = ((r"connector\.(up|down)\..*", Lora(rank=2, lr=1e-2)), (".*", "frozen"))
    stage = tiny_stage(train=rules, steps=4, save_every=2)
    expected = trained(stage, tmp_path / "a")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, loop, "_step", 4, Killed())
        with pytest.raises(Killed):
            trained(stage, tmp_path / "b")
    assert_same(trained(stage, tmp_path / "b"), expected)
    assert not torch.equal(expected.connector.up.weight, tiny_model().connector.up.weight)
    assert torch.equal(expected.connector.up.bias, tiny_model().connector.up.bias)

    fresh = tiny_model()
    fresh.load_state_dict(expected.state_dict())
    following = tiny_stage(steps=3, clip=0.01)
    assert_same(trained(following, tmp_path / "c", expected), trained(following, tmp_path / "d", fresh))


def test_ctrl_c_saves_the_step_and_ends_nothing_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(tiny_stage(steps=6), tmp_path / "a")
    before, step = signal.getsignal(signal.SIGINT), torch.optim.AdamW.step
    with pytest.MonkeyPatch.context() as patch:
        steps = []

        def pressed(adam: torch.optim.AdamW, *args: Any) -> Any:
            steps.append(1)
            if len(steps) == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return step(adam, *args)

        patch.setattr(torch.optim.AdamW, "step", pressed)
        with pytest.raises(KeyboardInterrupt):
            trained(tiny_stage(steps=6), tmp_path / "b")
    assert signal.getsignal(signal.SIGINT) is before
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["log.jsonl", "step-0000003"]
    assert_same(trained(tiny_stage(steps=6), tmp_path / "b"), expected)
    assert log(tmp_path / "b") == log(tmp_path / "a")


def test_training_works_in_a_thread_where_there_are_no_signals(tmp_path: Path) -> None:
    expected, models = trained(tiny_stage(), tmp_path / "a"), []
    thread = threading.Thread(target=lambda: models.append(trained(tiny_stage(), tmp_path / "b")))
    thread.start()
    thread.join()
    assert_same(models[0], expected)


# What can go wrong


def test_a_full_disk_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    stage = tiny_stage(steps=6, save_every=2)
    expected = trained(stage, tmp_path / "a")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, state, "save_file", 5, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(CheckpointError, match=r"b: the state after step 4.*No space left.*same command"):
            trained(stage, tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["log.jsonl", "step-0000002"]
    assert_same(trained(stage, tmp_path / "b"), expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_before_it_does_harm(tmp_path: Path, bad: float) -> None:
    stage = tiny_stage(steps=4, save_every=2)
    expected = trained(stage, tmp_path / "a")
    losses = Language.losses
    with pytest.MonkeyPatch.context() as patch:
        batches = []

        def spoiled(self: Language, batch: Any) -> dict[str, Tensor]:
            batches.append(1)
            return {k: v * bad if len(batches) == 4 else v for k, v in losses(self, batch).items()}

        patch.setattr(Language, "losses", spoiled)
        with pytest.raises(ChiasmError, match=rf"stage 'tune', step 4: language is {bad}"):
            trained(stage, tmp_path / "b")
    assert all(t.isfinite().all() for t in read_tensors(tmp_path / "b" / "step-0000002" / "model.safetensors").values())
    assert_same(trained(stage, tmp_path / "b"), expected)


def test_a_state_of_another_model_is_refused(tmp_path: Path) -> None:
    trained(tiny_stage(), tmp_path)
    other = tiny_model()
    other.connector.up = nn.Linear(128, 33)
    with pytest.raises(CheckpointError, match="another model"):
        trained(tiny_stage(), tmp_path, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"objective": "langage"}, "'tune'.*did you mean 'language'"),
        ({"options": {"per_picture": 3}}, "'tune'.*per_picture"),
        ({"data": "scenes:train?size=32&count=0"}, "'tune'.*count=0 is empty"),
    ],
)
def test_a_stage_that_can_not_run_says_why(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(tiny_stage(**wrong), tmp_path)


class OneBroken:
    """The drawn world with one picture that can't be opened."""

    def __init__(self, broken: int):
        self.world, self.broken = open_dataset(DATA), broken
        self.name, self.object_names, self.scene_names = "broken", None, None

    def __len__(self) -> int:
        return len(self.world)

    def __getitem__(self, index: int) -> Any:
        return replace(self.world[index], image=b"not a picture") if index == self.broken else self.world[index]

    def fingerprint(self) -> str:
        return "broken"


def test_an_unreadable_picture_is_named_and_its_thread_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second_step = indices(1, 4, 24, seed=0)
    broken = OneBroken(second_step[2][1])
    monkeypatch.setattr(loop, "open_dataset", lambda spec: broken)
    before = set(threading.enumerate())
    with pytest.raises(ImageError, match=broken.world[broken.broken].id) as caught:
        trained(tiny_stage(), tmp_path)
    assert set(threading.enumerate()) <= before, "although the traceback is still held"
    assert caught.traceback
    assert [row["step"] for row in log(tmp_path)] == [1]


def test_prefetching_gives_every_step_in_order_and_stays_within_its_depth() -> None:
    made: list[int] = []
    before = set(threading.enumerate())
    steps = prefetched(lambda step: (made.append(step), step * step)[1], 3, 40, depth=2)
    assert next(steps) == 9
    assert len(made) <= 5
    assert list(steps) == [step * step for step in range(4, 40)]
    assert set(threading.enumerate()) <= before


def test_prefetching_ends_its_thread_when_closed_early() -> None:
    before = set(threading.enumerate())
    steps = prefetched(lambda step: step, 0, 10**6)
    assert [next(steps), next(steps)] == [0, 1]
    steps.close()
    assert set(threading.enumerate()) <= before


def test_prefetching_raises_after_what_was_ready() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ImageError("scenes/7: torn")
        return step

    steps = prefetched(make, 0, 5)
    assert [next(steps), next(steps)] == [0, 1]
    with pytest.raises(ImageError, match="scenes/7: torn"):
        next(steps)
