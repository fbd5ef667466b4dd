"""The recipes that come with Chiasm: plain functions, to be read, called and forked."""

from __future__ import annotations

from collections.abc import Callable

from chiasm.training.recipe import Recipe
from chiasm.training.stage import Full, Stage


def chiasm_tiny() -> Recipe:
    """The embedded model: 8 M parameters that look at the drawn world.

    The encoder first learns to see from exact truth (`patches`), the decoder to speak without pictures. Then come
    LLaVA's two stages: the connector is aligned between the two while both are frozen, and everything is tuned
    together. A second round sees new pictures; the last and longest sees more of them, asks about each picture every
    kind of question it has an answer to, and keeps the encoder's exact truth beside the answers. Twelve to sixteen
    prompts share a picture.
    """
    return Recipe(
        name="chiasm-tiny",
        data="scenes:train",
        model={
            "encoder": {"kind": "vit", "size": 96, "patch": 8, "width": 256, "depth": 5, "heads": 4},
            "connector": {"kind": "patch_merger", "in_width": 256, "out_width": 256, "merge": 2, "hidden": 320},
            "decoder": {"kind": "llama", "width": 256, "depth": 4, "heads": 4},
            "fusion": {"kind": "prefix", "bidirectional": True},
        },
        prompts={
            "scene": "name the scene",
            "caption": "describe the picture",
            "detect": "find all objects",
            "ground": "find {phrase}",
        },
        text_tokens=800,
        loc_bins=64,
        store="bf16",
        held_out="scenes:val",
        stages=(
            Stage(
                "see",
                train=(("encoder.*", Full(1e-3)), (".*", "frozen")),
                objective="patches",
                steps=1200,
                batch=64,
                micro_batch=64,
            ),
            Stage(
                "speak",
                train=(("decoder.*", Full(1e-3)), (".*", "frozen")),
                objective="language",
                options={"with_images": False},
                steps=150,
                batch=64,
                micro_batch=64,
            ),
            Stage(
                "align",
                train=(("connector.*", Full(1e-3)), (".*", "frozen")),
                objective="language",
                options={"store_features": True},
                data="scenes:train?count=2048",
                steps=128,
                batch=64,
                micro_batch=64,
            ),
            Stage(
                "tune",
                train=(("encoder.*", Full(5e-4)), (".*", Full(1e-3))),
                objective="language",
                steps=1500,
                batch=64,
                micro_batch=64,
                warmup=200,
            ),
            Stage(
                "polish",
                train=((".*", Full(6e-4)),),
                objective="language",
                data="scenes:train?seed=1",
                steps=900,
                batch=64,
                micro_batch=64,
            ),
            Stage(
                "study",
                train=((".*", Full(8e-4)),),
                objective="language_and_patches",
                options={"per_image": 16, "each_kind": True},
                data="scenes:train?seed=2",
                steps=3100,
                batch=64,
                micro_batch=64,
            ),
        ),
    )


def daquar() -> Recipe:
    """Questions about real photos, learned from 715 of them and nothing else; give the photos with
    `data=daquar:FOLDER?part=train`."""
    return Recipe(
        name="daquar",
        data="daquar:data/daquar?part=train",
        model={
            "encoder": {"kind": "vit", "size": 160, "patch": 16, "width": 192, "depth": 4, "heads": 3},
            "connector": {"kind": "mlp", "in_width": 192, "out_width": 192},
            "decoder": {"kind": "llama", "width": 192, "depth": 3, "heads": 3},
            "fusion": {"kind": "prefix", "bidirectional": True},
        },
        prompts={},
        text_tokens=1500,
        loc_bins=0,
        stages=(
            Stage(
                "tune",
                train=((".*", Full(1e-3)),),
                objective="language",
                steps=600,
                batch=32,
                micro_batch=32,
                weight_decay=0.3,
            ),
        ),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"chiasm-tiny": chiasm_tiny, "daquar": daquar}
