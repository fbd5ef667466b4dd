"""Losses planted in chiasm-tiny, and the stage that `chiasm diagnose` names for each: docs/lesions.md.

The intact model is the reference. Each case keeps its steps in a folder of --work, so that a stopped run goes on, and
after a change of the estimator alone all of them are made again in seconds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from chiasm.data.open import open_dataset
from chiasm.examine.diagnosis.diagnose import Hits, Plan, diagnose
from chiasm.examine.diagnosis.estimate import STAGES, UNTOLD
from chiasm.examine.diagnosis.stages import Diagnosis, GroupDiagnosis, Share
from chiasm.models.open import open_model
from chiasm.models.protocol import VisionLanguageModel
from chiasm.probe.asked import Asked
from chiasm.probe.lesions import Lesion, planted
from chiasm.probe.question_readout import Recipe

DOCS = Path(__file__).parents[1] / "docs" / "lesions.md"
SITES = ("encoder", "connector")
FEWEST_WRONG = 20
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


@dataclass(frozen=True)
class Case:
    """A lesion, what was found, and how many single questions were laid at each stage."""

    lesion: Lesion
    found: Diagnosis
    verdicts: dict[str, int]

    @property
    def overall(self) -> GroupDiagnosis:
        return self.found.kinds[-1]

    @property
    def kinds(self) -> list[GroupDiagnosis]:
        """Those with enough wrong answers to be counted."""
        return [kind for kind in self.found.kinds[:-1] if kind.wrong >= FEWEST_WRONG]


def run(chosen: argparse.Namespace) -> list[Case]:
    model = open_model(chosen.model)
    asked = Asked.of(open_dataset("scenes:test"), chosen.pictures)
    lessons = Asked.of(open_dataset("scenes:train"), chosen.lessons)
    plan = Plan(lessons=lessons, batch=32, recipe=Recipe(epochs=chosen.epochs), seeds=tuple(range(chosen.seeds)))
    identity = {name: getattr(chosen, name) for name in ("model", "pictures", "lessons", "seeds", "epochs")}
    intact: dict[str, Hits] = {}

    def diagnosed(lesion: Lesion, plan: Plan, known: dict[str, Hits], folder: str) -> Case:
        found, readings, _ = diagnose(lesion.on(model), asked, plan, chosen.work / folder, identity, known=known)
        overall, verdicts = found.kinds[-1], found.verdict[readings.right == 0].tolist()
        shares = {stage: round(overall.shares[stage].value, 2) for stage in (*STAGES, UNTOLD)}
        print(f"{lesion.name} {lesion.strength}: right {overall.accuracy:.3f}, lost at {shares}", flush=True)
        return Case(lesion, found, {stage: verdicts.count(stage) for stage in (*STAGES, UNTOLD)})

    none, *lesions = planted(mean_token(model, lessons))
    alone = diagnosed(replace(none, name="none, without a reference"), plan, intact, "none-none")
    # The reference is the intact encoder, and a site in front of a lesion is as in the intact model.
    reference = {"reference": intact["encoder"]}
    before = {"none": SITES, "encoder": (), "connector": SITES[:1], "language model": SITES}
    cases = [alone]
    for lesion in (none, *lesions):
        known = reference | {site: intact[site] for site in before[lesion.stage]}
        folder = f"{lesion.name}-{lesion.strength}".replace(" ", "-")
        cases.append(diagnosed(lesion, replace(plan, reference=model), known, folder))
    return cases


def page(cases: list[Case], chosen: argparse.Namespace) -> str:
    strong = [case for case in cases if case.lesion.strength == "strong"]
    none = [case for case in cases if case.lesion.name == "none"]
    by_stage = {stage: [case for case in strong if case.lesion.stage == stage] for stage in STAGES} | {"none": none}
    columns = (*STAGES, UNTOLD)
    lines = [INTRODUCTION.format(**vars(chosen))]
    lines += [_row("planted at", "loss", "strength", "right", "wrong", *columns), "|---|---|---|---|---|" + "---|" * 4]
    for case in cases:
        lesion, overall = case.lesion, case.overall
        head = (lesion.stage, lesion.name, lesion.strength, f"{100 * overall.accuracy:.1f}", overall.wrong)
        lines.append(_row(*head, *(_cell(overall.shares[stage]) for stage in columns)))
    lines += ["", BY_KIND, _row("planted", *STAGES, "none above half", UNTOLD, "right"), "|---|" + "---|" * 6]
    for stage, rows in by_stage.items():
        named = [_named(kind) for case in rows for kind in case.kinds]
        counts = [named.count(name) for name in (*STAGES, "none above half", UNTOLD)]
        share = "" if stage == "none" or not named else f"{100 * named.count(stage) / len(named):.0f} %"
        lines.append(_row(stage, *counts, share))
    lines += ["", _exceptions(strong), "", SINGLE]
    lines += [_row("planted", *columns, "right, of those told"), "|---|" + "---|" * 5]
    for stage, rows in by_stage.items():
        counts = [sum(case.verdicts[name] for case in rows) for name in columns]
        told = sum(counts[:3])
        share = "" if stage == "none" or not told else f"{100 * counts[STAGES.index(stage)] / told:.1f} %"
        lines.append(_row(stage, *counts, share))
    return "\n".join(lines) + "\n"


INTRODUCTION = """\
# Planted losses, and what the diagnosis says

`python bench/lesions.py` plants a loss in {model} at a known stage and diagnoses it on {pictures} pictures of \
`scenes:test`, with {seeds} readouts a site that learned from {lessons} pictures of `scenes:train` and the intact \
encoder as reference. Shares are of the wrong answers, in per cent with 95 % intervals over pictures.

Lost means no longer readable. A weak lesion that garbles features without taking anything out of them is rightly laid \
at the door of the stage that can't read them any more: half of the channels, or 64 of 256 directions, still tell \
nearly everything to a readout that learned from them.

Three things to read the numbers by:

- **The intact model is wrong where readouts of its own encoder fail too.** With itself as reference that can't be \
told from a picture that does not show it; without a reference such answers are laid at the encoder. A better encoder \
as `--reference` would tell the two apart.
- **About an eighth at an intact connector is no finding.** It gets that in the rows of the language model, where \
right answers are so few that they are no guide: readouts of one size read a little less from fewer tokens.
- **Chance gets little.** Shares are held to what is possible only after the kinds are averaged. With all losses \
behind the connector and ten wrong answers a kind, the connector gets 5 % on average, where holding each kind by \
itself would give it 16 % (`tests/test_diagnosis_stages.py`).
"""
BY_KIND = f"""\
## By kind of question

A case is one lesion and one kind of question with at least {FEWEST_WRONG} wrong answers; its stage is the one with \
more than half of the shares. Rows are what was planted (strong lesions, and none), columns what was named.
"""
SINGLE = """\
## Single questions

Verdicts on the wrong answers of the strong lesions, and of the intact model.
"""


def _exceptions(strong: list[Case]) -> str:
    named = [(case, kind, _named(kind)) for case in strong for kind in case.kinds]
    wrong = [entry for entry in named if entry[2] != entry[0].lesion.stage]
    told = ", ".join(
        f"{kind.name} after {case.lesion.name} ({100 * kind.accuracy:.0f} % right, named: {stage})"
        for case, kind, stage in wrong
    )
    share = 100 * (len(named) - len(wrong)) / len(named)
    return (
        f"Right in {len(named) - len(wrong)} of {len(named)} strong cases ({share:.0f} %). The others: {told}. What "
        "place it is can be read from a blur, from a few channels or from the mean of all tokens: there the lesion "
        "took nothing out, and it is the language model that can't read it any more."
    )


def _named(kind: GroupDiagnosis) -> str:
    values = {stage: kind.shares[stage].value for stage in (*STAGES, UNTOLD)}
    best = max(values, key=values.__getitem__)
    return best if values[best] > NAMED else "none above half"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _cell(share: Share) -> str:
    if share.ci_low is None or share.ci_high is None:
        return f"{100 * share.value:.0f}"
    return f"{100 * share.value:.0f} ({100 * share.ci_low:.0f}-{100 * share.ci_high:.0f})"


def main() -> None:
    chosen = options()
    DOCS.write_text(page(run(chosen), chosen), "utf-8")
    print(f"wrote {DOCS.name}")


if __name__ == "__main__":
    main()
