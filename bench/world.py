"""Pictures a second, of the generator and of the whole pipeline, and start-up times."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from measure import Row, beside, interleaved, options, publish
from tiny import random_tiny

from chiasm.data.worlds.scenes import Scenes
from chiasm.models import checkpoint
from chiasm.tasks.see import Pipeline
from chiasm.tasks.vlm import Seer, open_pipeline

CHIASM = Path(sys.executable).with_name("chiasm")


def generator(size: int, count: int, repeats: int, aim: float | None = None) -> Row:
    """Whole examples: picture, masks, captions, questions, references."""
    world = Scenes("test", size=size)
    seconds = interleaved(repeats, lambda: [world[i] for i in range(count)])
    return Row(f"scenes, examples of {size} px", "pictures/s", count / float(np.median(seconds)), aim=aim)


def tiny_pipeline() -> tuple[Pipeline, str]:
    """chiasm-tiny; before it is trained, its sizes with random weights, which write to the limit of each answer."""
    if (checkpoint.find("chiasm-tiny") / "config.json").exists():
        return open_pipeline("chiasm-tiny"), "chiasm-tiny"
    seer = Seer(random_tiny())
    return Pipeline(seer, seer, seer), "random weights of chiasm-tiny's sizes"


def see(batch: int, pictures: int, repeats: int) -> Row:
    pipeline, model = tiny_pipeline()
    images = [example.image for example in map(Scenes("test").__getitem__, range(pictures))]
    seconds = interleaved(repeats, lambda: list(pipeline.process_many(images, batch=batch)))
    what = f"see, batch {batch}: scene, caption, objects ({model})"
    return Row(what, "pictures/s", pictures / float(np.median(seconds)))


def start_up(repeats: int) -> list[Row]:
    def python(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    def chiasm_help() -> None:
        subprocess.run([CHIASM, "--help"], check=True, stdout=subprocess.DEVNULL)

    bare, package, command = interleaved(repeats, python("pass"), python("import chiasm"), chiasm_help).T
    beyond = max(0.0, float(np.median(package - bare)))
    ours, torch_alone, llava = interleaved(
        min(3, repeats),
        python("from chiasm.models.vlm import VLM"),
        python("import torch"),
        python("from transformers import LlavaForConditionalGeneration"),
    ).T
    model_class = "import a model class (chiasm.models.vlm), whole process"
    return [
        Row("import chiasm, beyond the bare interpreter", "ms", 1000 * beyond, aim=100),
        Row("chiasm --help, whole process", "ms", 1000 * float(np.median(command)), aim=300),
        beside(model_class, f"transformers {version('transformers')} LlavaForConditionalGeneration", ours, llava),
        beside(model_class, f"torch {version('torch')} alone", ours, torch_alone),
    ]


def main() -> None:
    chosen = options(__doc__, repeats=7)
    torch.manual_seed(0)
    rows = [
        generator(96, 100, chosen.repeats, aim=300),
        generator(224, 30, chosen.repeats),
        see(1, 4, min(3, chosen.repeats)),
        see(16, 16, min(3, chosen.repeats)),
        *start_up(chosen.repeats),
    ]
    notes = (
        "The generator runs on one core and makes whole examples: picture, masks, captions, questions, references. "
        "`see` opens 96 px pictures that are in memory already. Imports find their files in the page cache."
    )
    publish("world", "Pictures a second and start-up", notes, rows, chosen.json)


if __name__ == "__main__":
    main()
