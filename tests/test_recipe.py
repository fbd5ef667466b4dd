"""Recipes: settings from the command line, the folder of a training, and what comes out."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from tiny_training import CONFIG, DATA, one_thread, tiny_recipe, tiny_stage, tiny_tokenizer  # noqa: F401
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.errors import CheckpointError, ConfigError
from chiasm.models import checkpoint
from chiasm.models.checkpoint import read_tensors
from chiasm.training import recipe as recipe_module
from chiasm.training.plot import loss_plot
from chiasm.training.recipe import Recipe, override, train
from chiasm.training.recipes import RECIPES
from chiasm.training.settings_file import claim
from chiasm.training.stage import Full, assign


def small_recipe(**settings: Any) -> Recipe:
    """Two short stages."""
    stages = (
        tiny_stage(name="speak", data="", options={"with_images": False}, steps=2),
        tiny_stage(name="tune", data="", steps=2),
    )
    return replace(tiny_recipe(), stages=stages, **settings)


# Settings


def test_settings_reach_their_place_and_nothing_else() -> None:
    before = tiny_recipe()
    changed = override(
        before,
        [
            "seed=3",
            "data=scenes:val?size=32",
            "model.encoder.depth=2",
            "tune.steps=7",
            "see.options.survey=9",
            "tune.clip=2",
        ],
    )
    assert changed == replace(
        before,
        seed=3,
        data="scenes:val?size=32",
        model={**CONFIG, "encoder": {**CONFIG["encoder"], "depth": 2}},
        stages=(
            replace(before.stages[0], options={"survey": 9}),
            before.stages[1],
            replace(before.stages[2], steps=7, clip=2.0),
        ),
    )
    assert isinstance(changed.stages[2].clip, float)
    assert before == tiny_recipe()
    assert override(before, []) == before


def test_later_settings_win() -> None:
    assert override(tiny_recipe(), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seeed=1", r"unknown key 'seeed'.*did you mean 'seed'"),
        ("tun.steps=1", r"unknown key 'tun'.*did you mean 'tune'"),
        ("tune.step=1", r"unknown key 'step' in 'tune.step'.*did you mean 'steps'"),
        ("model.encoder.dept=4", r"'dept' in 'model.encoder.dept'.*did you mean 'depth'"),
        ("model.encodr.depth=4", r"'encodr'.*did you mean 'encoder'"),
        ("see.options.servey=4", r"'servey'.*did you mean 'survey'"),
        ("seed", "'seed' is not a setting; write key=value"),
        ("tune=5", "tune is a stage.*tune.steps=100"),
        ("seed.x=1", "seed.x: .* inside a plain value"),
        ("tune.steps.x=1", "inside a plain value"),
    ],
)
def test_unknown_keys_are_told_with_the_nearest_known_one(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        override(tiny_recipe(), [setting])


@pytest.mark.parametrize(
    "setting",
    [
        "seed=x",
        "seed=1.5",
        "seed=true",
        "seed=null",
        "data=5",
        "tune.clip=big",
        "tune.clip=false",
        "model=5",
        "model.encoder.depth=deep",
        "tune.options=[1]",
        "tune.train=frozen",
        "stages=[]",
        "see.options.survey=many",
    ],
)
def test_values_of_another_type_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="not of the same type"):
        override(tiny_recipe(), [setting])


@pytest.mark.parametrize(
    "setting", ["tune.steps=0", "tune.precision=fp16", "store=int8", "tune.name=model", "see.name=tune"]
)
def test_values_that_make_no_sense_are_refused(setting: str) -> None:
    with pytest.raises(ConfigError):
        override(tiny_recipe(), [setting])


@pytest.mark.parametrize("name", RECIPES)
def test_the_shipped_recipes_fit_their_models(name: str) -> None:
    """Every rule decides something and every parameter is decided, in every stage."""
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert override(recipe, [f"{recipe.stages[-1].name}.steps=3"]).stages[-1].steps == 3
    decoder = {**recipe.model["decoder"], "vocabulary": 400}
    model = checkpoint.build({**recipe.model, "decoder": decoder}, tiny_tokenizer())
    for stage in recipe.stages:
        assign(model, stage.train)
    json.dumps(dataclasses.asdict(recipe))


# The folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("training")
    assert train(small_recipe(store="bf16", held_out="scenes:val?size=32&count=8"), folder) == folder / "model"
    return folder


def test_a_recipe_leaves_a_model_that_knows_its_world(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == [
        "loss.svg",
        "model",
        "recipe.json",
        "speak",
        "tokenizer.json",
        "tune",
    ]
    model, config = checkpoint.load(folder / "model")
    assert config["dialect"]["prompts"] == dict(tiny_recipe().prompts)
    assert config["decoder"]["vocabulary"] == len(model.tokenizer)
    assert "beach" in config["dialect"]["scenes"]
    assert (folder / "model" / "familiarity.safetensors").is_file()
    stored = read_tensors(folder / "model" / "model.safetensors")
    exact = read_tensors(folder / "tune" / "model" / "model.safetensors")
    assert all(torch.equal(stored[k], exact[k].bfloat16()) for k in exact)


@pytest.fixture
def done(tmp_path: Path) -> Path:
    train(small_recipe(), tmp_path)
    return tmp_path


def test_the_same_recipe_changes_nothing_more(done: Path) -> None:
    before = {p: p.read_bytes() for p in done.rglob("*.safetensors")}
    train(small_recipe(), done)
    assert {p: p.read_bytes() for p in done.rglob("*.safetensors")} == before


def claim_recipe(recipe: Recipe, folder: Path) -> None:
    claim(folder / "recipe.json", dataclasses.asdict(recipe))


def test_another_recipe_is_told_what_differs(tmp_path: Path) -> None:
    first = small_recipe()
    claim_recipe(first, tmp_path)
    claim_recipe(first, tmp_path)
    written = (tmp_path / "recipe.json").read_bytes()
    other = override(first, ["tune.steps=3", "model.encoder.depth=2", "seed=5"])
    with pytest.raises(ConfigError, match=r"recipe\.json.*another folder") as caught:
        claim_recipe(other, tmp_path)
    for difference in (
        "tune.steps was 2 and is now 3",
        "model.encoder.depth was 1 and is now 2",
        "seed was 0 and is now 5",
    ):
        assert difference in str(caught.value)
    rules = replace(first, stages=(replace(first.stages[0], train=((".*", Full(0.5)),)), first.stages[1]))
    with pytest.raises(ConfigError, match=r"speak\.train"):
        claim_recipe(rules, tmp_path)
    with pytest.raises(ConfigError, match=r"speak\.steps was 2 and is now None"):
        claim_recipe(replace(first, stages=first.stages[1:]), tmp_path)
    assert (tmp_path / "recipe.json").read_bytes() == written


def test_a_damaged_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"recipe\.json"):
        claim_recipe(small_recipe(), tmp_path)


def test_stages_need_names_of_their_own() -> None:
    stage = tiny_stage()
    with pytest.raises(ConfigError, match="'tune'"):
        replace(tiny_recipe(), stages=(stage, stage))
    with pytest.raises(ConfigError, match="'model'"):
        replace(tiny_recipe(), stages=(replace(stage, name="model"),))


def test_a_killed_recipe_goes_on_with_the_stage_it_was_in(
    done: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    folder, trained = tmp_path_factory.mktemp("killed"), []
    train_stage = recipe_module.train_stage

    def once(model: Any, stage: Any, *rest: Any) -> None:
        trained.append(stage.name)
        if trained == ["speak", "tune"]:
            raise Killed
        train_stage(model, stage, *rest)

    monkeypatch.setattr(recipe_module, "train_stage", once)
    with pytest.raises(Killed):
        train(small_recipe(), folder)
    train(small_recipe(), folder)
    assert trained == ["speak", "tune", "tune"]
    name = "model/model.safetensors"
    assert (folder / name).read_bytes() == (done / name).read_bytes()


# The loss plot


def test_every_loss_of_every_stage_is_drawn(tmp_path: Path) -> None:
    for stage, names in (("see", ("scene", "box")), ("tune", ("language",))):
        (tmp_path / stage).mkdir()
        rows = [
            {
                "stage": stage,
                "step": i + 1,
                **{n: 2.0 / (i + 1) for n in names},
                "gradient norm": 9.0,
                "images_per_s": 1,
            }
            for i in range(30)
        ]
        (tmp_path / stage / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = loss_plot(tmp_path, ["see", "tune"])
    assert path == tmp_path / "loss.svg"
    drawing = path.read_text()
    ElementTree.fromstring(drawing)
    comments = {line.strip()[5:-4] for line in drawing.splitlines() if line.strip().startswith("<!-- ")}
    assert {"see", "tune", "scene", "box", "language", "step"} <= comments
    assert "gradient norm" not in comments


# The command


def test_the_command_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "small", small_recipe)
    result = CliRunner().invoke(app, ["train", "small", "--out", str(tmp_path), "tune.steps=1"])
    assert result.exit_code == 0, result.output
    assert f"checkpoint: {tmp_path / 'model'}" in result.output
    assert json.loads((tmp_path / "recipe.json").read_text())["stages"][1]["steps"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["chiasm-tyny"], "did you mean 'chiasm-tiny'"), (["chiasm-tiny", "tune.stps=1"], "did you mean 'steps'")],
)
def test_the_command_explains_a_wrong_word(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["train", *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_command_says_that_it_goes_on_after_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe_module, "train", pressed)
    result = CliRunner().invoke(app, ["train", "chiasm-tiny", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert result.stderr.splitlines() == [
        "chiasm: stopped; the same command of train, examine or probe extract goes on from here"
    ]
