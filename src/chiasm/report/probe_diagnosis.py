"""A diagnosis on the page: where wrong answers arise, by kind of question, and the questions of each verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.data.open import open_dataset
from chiasm.data.records import read_json
from chiasm.errors import ChiasmError, RunError
from chiasm.examine.diagnosis.estimate import STAGES, UNTOLD
from chiasm.examine.diagnosis.folder import ITEMS, MANIFEST, SUMMARY
from chiasm.report.drawing import BLUE, INK, ORANGE, PURPLE, QUIET, Chart, blank
from chiasm.report.gallery import in_turn
from chiasm.report.pictures import thumbnail
from chiasm.score.location import SIZE_LIMITS, SIZES

COLOURS = dict(zip((*STAGES, UNTOLD), (BLUE, ORANGE, PURPLE, QUIET), strict=True))
HATCHES = dict(zip((*STAGES, UNTOLD), ("", "///", "...", ""), strict=True))
"""So that stages can be told apart in black and white as well."""
CLASSES = dict(zip((*STAGES, UNTOLD), ("at-encoder", "at-connector", "at-language-model", "untold"), strict=True))
MOST_PICTURES = 200


@dataclass(frozen=True)
class Found:
    """A finished diagnosis: `kinds` and `sizes` as in `GroupDiagnosis`, all questions last among the kinds, and the
    lines of items.jsonl."""

    manifest: Mapping[str, Any]
    kinds: Sequence[Mapping[str, Any]]
    sizes: Sequence[Mapping[str, Any]]
    items: Sequence[Mapping[str, Any]]
    sites: Sequence[str]

    @property
    def wrong(self) -> list[Mapping[str, Any]]:
        return [item for item in self.items if not item["right"]]


def is_diagnosis(folder: Path) -> bool:
    return (folder / SUMMARY).is_file()


def read_diagnosis(folder: Path) -> Found:
    """Raises RunError for a folder without a finished diagnosis."""
    try:
        summary = read_json(folder / SUMMARY)
        lines = (folder / ITEMS).read_text("utf-8").splitlines()
        items = [json.loads(line) for line in lines]
        return Found(read_json(folder / MANIFEST), summary["kinds"], summary["sizes"], items, summary["sites"])
    except (ChiasmError, OSError, ValueError, KeyError) as error:
        raise RunError(f"{folder} holds no finished diagnosis ({error}); run its `chiasm diagnose` again") from None


def stages_chart(name: str, found: Found) -> Chart | None:
    """Stacked bars for each kind of question with wrong answers, each size of object, and all; None without any."""
    *kinds, everything = found.kinds
    blocks = [[group for group in block if group["wrong"]] for block in (kinds, found.sizes, [everything])]
    blocks = [block for block in blocks if block]
    if not blocks:
        return None
    # A gap of a third of a bar between blocks.
    places = [sum(map(len, blocks[:b])) + b / 3 + i for b, block in enumerate(blocks) for i in range(len(block))]
    groups = [group for block in blocks for group in block]
    figure, axes = blank(0.9 + 0.42 * (places[-1] + 1), width=7.2)
    axes.grid(visible=False)
    for row, group in zip(places, groups, strict=True):
        left = 0.0
        for stage in (*STAGES, UNTOLD):
            share = 100 * group["shares"][stage]["value"]
            if share <= 0:
                continue
            axes.barh(row, share, left=left, height=0.62, color=COLOURS[stage], hatch=HATCHES[stage],
                      edgecolor="white", linewidth=0.8, alpha=0.45 if stage == UNTOLD else 0.85)  # fmt: skip
            if share >= 6:
                label = interval_text(group["shares"][stage], share >= 12 and stage != UNTOLD)
                axes.text(left + share / 2, row, label, ha="center", va="center", fontsize=8.5, color="black",
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85})  # fmt: skip
            left += share
    names = [f"{_named(group)} ({group['wrong']})" for group in groups]
    axes.set(yticks=places, yticklabels=names, ylim=(places[-1] + 0.5, -0.5), xlim=(0, 100))
    axes.set_xlabel("of the wrong answers, %")
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    figure.legend(handles=[_patch(stage) for stage in (*STAGES, UNTOLD)], loc="outside upper left", ncols=4,
                  fontsize=9, frameon=False, labelcolor=INK, columnspacing=1.4, borderpad=0)  # fmt: skip
    caption = (
        f"Where the answer was lost, by kind of question{', by size of the object asked about' * bool(found.sizes)}, "
        "with the number of wrong answers: in the encoder (not readable from its features), in the connector (readable "
        "before it and not after), or in the language model (readable from what it was given). In brackets the central "
        "95 % over resampled pictures."
    )
    if found.sizes:
        small, medium = (round(100 * limit) for limit in SIZE_LIMITS)
        caption += (
            f" An object is small where the root of its box's share of the picture is below {small} %, large from "
            f"{medium} % on."
        )
    return Chart(name, "Where wrong answers arise", caption, figure)


def _named(group: Mapping[str, Any]) -> str:
    return f"{group['name']} object" if group["name"] in SIZES else group["name"] or "all"


def interval_text(share: Mapping[str, Any], whole: bool = True) -> str:
    """ "62 (55–70)", in per cent; without the interval where there is no room for it."""
    value = f"{100 * share['value']:.0f}"
    if not whole or share["ci_low"] is None:
        return value
    return f"{value} ({100 * share['ci_low']:.0f}–{100 * share['ci_high']:.0f})"


def sentence(found: Found) -> str:
    """The result in words."""
    whole = found.kinds[-1]
    if not whole["wrong"]:
        return f"All {whole['asked']:,} questions were answered correctly, so there is nothing to diagnose."
    stage = max(STAGES, key=lambda name: whole["shares"][name]["value"])
    said = f"Of {whole['wrong']:,} wrong answers to {whole['asked']:,} questions, "
    untold = whole["shares"][UNTOLD]["value"]
    if whole["shares"][stage]["value"] == 0:
        return f"{said}none can be traced to a stage: {whole['reason'] or 'the readouts can’t tell'}."
    share = whole["shares"][stage]
    between = (
        f" (95 % interval {interval_text(share).split(' ')[1].strip('()')})" if share["ci_low"] is not None else ""
    )
    percent = f"{100 * share['value']:.0f} %"
    if untold > share["value"]:
        most = f"{said}for {100 * untold:.0f} % the readouts can’t tell where they were lost."
        return f"{most} Of the others the largest part was lost in the {stage}: {percent} of all{between}."
    largest = f"{said}the largest part was lost in the {stage}: {percent}{between}."
    return f"{largest} For {100 * untold:.0f} % the readouts can’t tell." if untold else largest


def verdict_gallery(found: Found, images: Path | None) -> dict[str, Any]:
    """What gallery.js shows of the wrong answers: those with a verdict first, of every stage in turn."""
    by_verdict: dict[str, list[Mapping[str, Any]]] = {verdict: [] for verdict in (*STAGES, UNTOLD)}
    for item in found.wrong:
        by_verdict[item["verdict"]].append(item)
    ordered = [*in_turn([by_verdict[stage] for stage in STAGES]), *by_verdict[UNTOLD]]
    chosen = list(dict.fromkeys(item["image"] for item in ordered))[:MOST_PICTURES]
    sources = _sources(found, images)
    pictures = []
    for name in chosen:
        source, size = sources(name)
        pictures.append({"name": name, "file": name, "size": size or (4, 3), "source": source})
    place = {name: index for index, name in enumerate(chosen)}
    items = [_item(item, place[item["image"]], found.sites) for item in ordered if item["image"] in place]
    return {"runs": [""], "pictures": pictures, "items": items, "floor": 0, "detections": False}


def _item(item: Mapping[str, Any], picture: int, sites: Sequence[str]) -> dict[str, Any]:
    chances = ", ".join(f"{stage} {100 * p:.0f} %" for stage, p in zip(STAGES, item["probability"], strict=True))
    read = ", ".join(f"{site} {100 * item['hits'][site]:.0f} %" for site in sites)
    answer = {
        "said": item["said"], "raw": "", "problem": None, "right": False, "predicted": [],
        "read": f"by the readouts: {read}", "notice": f"lost at: {chances}",
        "errors": [[CLASSES[item["verdict"]], item["verdict"], ""]],
    }  # fmt: skip
    slices = {key: item[key] for key in ("kind", "object_size") if key in item}
    return {
        "id": item["id"], "picture": picture, "task": "", "prompt": item["question"],
        "truth": " / ".join(item["truth"]), "true": [], "slices": slices, "answers": [answer],
    }  # fmt: skip


def _sources(found: Found, images: Path | None) -> Callable[[str], tuple[str, tuple[int, int] | None]]:
    """From a picture's id to its thumbnail and size: from the folder `images`, or from the dataset that was asked."""
    from chiasm.report.pictures import find_pictures

    names = {item["image"] for item in found.wrong}
    if images is not None:
        files = find_pictures(names, images, ())
        return lambda name: thumbnail(files[name]) if name in files else ("", None)
    try:
        dataset = open_dataset(found.manifest["pictures"])
        same = dataset.fingerprint() == found.manifest["dataset"]
    except (ChiasmError, KeyError):
        return lambda name: ("", None)
    wanted: dict[str, Any] = {}
    for index in range(len(dataset) if same else 0):
        example = dataset[index]
        if example.id in names:
            wanted[example.id] = example.image
        if len(wanted) == len(names):
            break
    return lambda name: thumbnail(wanted[name]) if name in wanted else ("", None)


def _patch(stage: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=COLOURS[stage], hatch=HATCHES[stage], edgecolor="white", label=stage,
                 alpha=0.45 if stage == UNTOLD else 0.85)  # fmt: skip
