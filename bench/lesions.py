"""Losses planted in chiasm-tiny, and the stage that `chiasm diagnose` names for each: docs/lesions.md.

The intact model is the reference. Finished cases are kept in --work, so that a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from chiasm.data.open import open_dataset
from chiasm.examine.diagnosis.asked import Asked
from chiasm.examine.diagnosis.diagnose import Hits, Plan, diagnose
from chiasm.examine.diagnosis.stages import STAGES, UNTOLD
from chiasm.models.open import open_model
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.lesions import Lesion, planted
from chiasm.probe.question_readout import Recipe

DOCS = Path(__file__).parents[1] / "docs" / "lesions.md"
NAMED = 0.5
"""A case's stage is named where more than this share of its wrong answers was lost there."""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="chiasm-tiny")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--lessons", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--work", type=Path, default=Path("runs/lesions"))
    return parser.parse_args()


def mean_token(model: VisionLanguageModel, asked: Asked) -> torch.Tensor:
    """Of E_post over 64 pictures: (width,)."""
    (_, images), *_ = asked.batches(64)
    with torch.no_grad():
        return model.connect(model.encode(images)).tokens.mean(dim=0)


def run(chosen: argparse.Namespace) -> list[dict]:
    model = open_model(chosen.model)
    asked = Asked.of(open_dataset("scenes:test"), chosen.pictures)
    lessons = Asked.of(open_dataset("scenes:train"), chosen.lessons)
    plan = Plan(
        lessons=lessons,
        reference=model,
        batch=32,
        recipe=Recipe(epochs=chosen.epochs),
        seeds=tuple(range(chosen.seeds)),
    )
    chosen.work.mkdir(parents=True, exist_ok=True)
    intact: dict[str, Hits] = {}
    lesions = {
        chosen.work / f"{lesion.name} {lesion.strength}.json".replace(" ", "-"): lesion
        for lesion in planted(mean_token(model, lessons))
    }
    unfinished = any(not path.exists() for path in lesions)
    cases = []
    for path, lesion in lesions.items():
        if not path.exists() or (unfinished and lesion.stage == "none"):  # the others need the hits of the intact case
            case = diagnosed(lesion, model, asked, plan, intact)
            path.write_text(json.dumps(case, indent=1))
        cases.append(json.loads(path.read_text()))
        overall = cases[-1]["kinds"][-1]
        shares = {stage: round(overall["shares"][stage]["value"], 2) for stage in (*STAGES, UNTOLD)}
        print(f"{path.stem}: right {overall['accuracy']:.3f}, lost at {shares}", flush=True)
    return cases


def diagnosed(lesion: Lesion, model: VisionLanguageModel, asked: Asked, plan: Plan, intact: dict[str, Hits]) -> dict:
    """A site in front of the lesion is as in the intact model, and so are its readouts."""
    if lesion.stage == "none":
        known = intact
    else:
        before = {"encoder": (), "connector": ("encoder",), "language model": ("encoder", "connector")}[lesion.stage]
        known = {site: intact[site] for site in ("reference", *before)}
    found, readings, _ = diagnose(lesion.on(model), asked, plan, known=known)
    if lesion.stage == "none":
        intact["reference"] = intact["encoder"]
    verdicts = found.verdict[readings.right == 0].tolist()
    return {
        "stage": lesion.stage, "name": lesion.name, "strength": lesion.strength,
        "kinds": [asdict(kind) for kind in found.kinds],
        "verdicts": {stage: verdicts.count(stage) for stage in (*STAGES, UNTOLD)},
    }  # fmt: skip


def page(cases: list[dict], chosen: argparse.Namespace) -> str:
    strong = [case for case in cases if case["strength"] == "strong"]
    lines = [
        "# Planted losses, and what the diagnosis says",
        "",
        f"`python bench/lesions.py` plants a loss in {chosen.model} at a known stage and diagnoses it on "
        f"{chosen.pictures} pictures of `scenes:test`, with {chosen.seeds} readouts a site that learned from "
        f"{chosen.lessons} pictures of `scenes:train` and the intact encoder as reference. Shares are of the wrong "
        "answers, in per cent with 95 % intervals over pictures.",
        "",
        "Lost means no longer readable. A weak lesion that garbles features without taking anything out of them is "
        "rightly laid at the door of the stage that can't read them any more: half of the channels, or 64 of 256 "
        "directions, still tell nearly everything to a readout that learned from them. Of the intact model's wrong "
        "answers most are on things that readouts of the reference, which is itself, do not read either.",
        "",
        "| planted at | loss | strength | right | wrong | " + " | ".join((*STAGES, UNTOLD)) + " |",
        "|---|---|---|---|---|" + "---|" * 4,
    ]
    for case in cases:
        overall = case["kinds"][-1]
        cells = [_cell(overall["shares"][stage]) for stage in (*STAGES, UNTOLD)]
        head = (case["stage"], case["name"], case["strength"], f"{100 * overall['accuracy']:.1f}", overall["wrong"])
        lines.append("| " + " | ".join(map(str, (*head, *cells))) + " |")
    lines += ["", "## By kind of question", ""]
    lines += [
        "A case is one lesion and one kind of question with at least 20 wrong answers; its stage is the one with more "
        "than half of the shares. Rows are what was planted (strong lesions, and none), columns what was named.",
        "",
        "| planted | " + " | ".join((*STAGES, "none above half", UNTOLD)) + " | right |",
        "|---|" + "---|" * 6,
    ]
    for planted_at in (*STAGES, "none"):
        rows = [c for c in (cases if planted_at == "none" else strong) if c["stage"] == planted_at]
        named = [_named(kind) for case in rows for kind in case["kinds"][:-1] if kind["wrong"] >= 20]
        counts = [named.count(stage) for stage in (*STAGES, "none above half", UNTOLD)]
        share = "" if planted_at == "none" or not named else f"{100 * named.count(planted_at) / len(named):.0f} %"
        lines.append(f"| {planted_at} | " + " | ".join(map(str, counts)) + f" | {share} |")
    lines += ["", *_exceptions(strong)]
    lines += [
        "",
        "## Single questions",
        "",
        "Verdicts on the wrong answers of the strong lesions, and of the intact model.",
        "",
    ]
    lines += ["| planted | " + " | ".join((*STAGES, UNTOLD)) + " | right, of those told |", "|---|" + "---|" * 5]
    for planted_at in (*STAGES, "none"):
        rows = [c for c in (cases if planted_at == "none" else strong) if c["stage"] == planted_at]
        counts = [sum(case["verdicts"][stage] for case in rows) for stage in (*STAGES, UNTOLD)]
        told = sum(counts[:3])
        share = "" if planted_at == "none" or not told else f"{100 * counts[STAGES.index(planted_at)] / told:.1f} %"
        lines.append(f"| {planted_at} | " + " | ".join(map(str, counts)) + f" | {share} |")
    return "\n".join(lines) + "\n"


def _exceptions(strong: list[dict]) -> list[str]:
    named = [(case, kind, _named(kind)) for case in strong for kind in case["kinds"][:-1] if kind["wrong"] >= 20]
    wrong = [entry for entry in named if entry[2] != entry[0]["stage"]]
    told = ", ".join(
        f"{kind['kind']} after {case['name']} ({100 * kind['accuracy']:.0f} % right, named: {stage})"
        for case, kind, stage in wrong
    )
    share = 100 * (len(named) - len(wrong)) / len(named)
    return [f"Right in {len(named) - len(wrong)} of {len(named)} strong cases ({share:.0f} %). The others: {told}."]


def _named(kind: dict) -> str:
    values = {stage: kind["shares"][stage]["value"] for stage in (*STAGES, UNTOLD)}
    best = max(values, key=values.__getitem__)
    return best if values[best] > NAMED else "none above half"


def _cell(share: dict) -> str:
    if share["ci_low"] is None:
        return f"{100 * share['value']:.0f}"
    return f"{100 * share['value']:.0f} ({100 * share['ci_low']:.0f}-{100 * share['ci_high']:.0f})"


def main() -> None:
    chosen = options()
    DOCS.write_text(page(run(chosen), chosen), "utf-8")
    print(f"wrote {DOCS.name}")


if __name__ == "__main__":
    main()
