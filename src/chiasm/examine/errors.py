"""Every lost point has one kind, one cause and one repair.

A judgement holds the sufficient statistics of one row and the errors that cost it points. An error's `repair` says how
the statistics change when only that error is put right, so the cost of a kind is found by adding up repairs, and adding
all of them gives the statistics of a perfect row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from chiasm.score.answers import match, yes_or_no
from chiasm.score.caption_mentions import match_caption
from chiasm.score.detection import match_objects
from chiasm.score.faults.priors import ObjectPriors
from chiasm.score.faults.wrong_answer import wrong_answer_cause
from chiasm.score.grounding import THRESHOLDS, score_grounding
from chiasm.score.location import location_cause, miss_cause, size_class
from chiasm.score.names import Names
from chiasm.types import Answer, Box, Detection, Example, Object, Question, Reference

NO_PICTURE = "no picture"
"""The parse rule of an output that stands for a picture that could not be opened."""

Statistics = dict[str, float]
ImageSize = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Error:
    """`name` is the object or answer concerned; `predicted` and `true` index into the row's parsed and true objects."""

    kind: str
    cause: str
    repair: Statistics
    name: str = ""
    predicted: int | None = None
    true: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`right` is None for a row without truth. It says whether the row counts as right in its task's main metric."""

    statistics: Statistics = field(default_factory=dict)
    errors: tuple[Error, ...] = ()
    right: bool | None = None


def judge_scene(said: Answer, true: str | None, names: Names) -> Judgement:
    """Right iff the canonical names are equal."""
    if true is None:
        return Judgement()
    if said.problem is None and names.canonical(said.text) == names.canonical(true):
        return Judgement({"scenes": 1, "scene_right": 1}, right=True)
    lost: Statistics = {"scenes": 1, "scene_right": 0}
    if said.problem is not None:
        return _unparsed(said, lost, {"scenes": 1, "scene_right": 1})
    return Judgement(lost, (Error("wrong_scene", "another scene", {"scene_right": 1}, name=true),), False)


def judge_answer(said: Answer, question: Question, with_substring: bool = False) -> Judgement:
    """Exact match; soft match where ten people answered; yes and no counted for questions of kind "existence".

    "Yes" to an absent object is a hallucination (yes-bias), "no" to a present one a missed object.
    """
    if not question.answers:
        return Judgement()
    text = said.text if said.problem is None else ""
    perfect: Statistics = {"answers": 1, "exact": 1}
    got: Statistics = {"answers": 1, "exact": match(text, question.answers, "exact")}
    if len(question.answers) == 10:
        attainable = max(match(answer, question.answers, "soft") for answer in question.answers)
        perfect |= {"soft_answers": 1, "soft": attainable}
        got |= {"soft_answers": 1, "soft": match(text, question.answers, "soft")}
    if with_substring:
        perfect |= {"substring_answers": 1, "substring": 1}
        got |= {"substring_answers": 1, "substring": match(text, question.answers, "substring")}

    there = is_existence(question)
    claimed = yes_or_no(text)
    if there is not None:
        perfect |= {"existence": 1, "existence_right": 1, "yes_true": there, "yes_said": there, "yes_right": there}
        got |= {
            "existence": 1,
            "existence_right": claimed is there,
            "yes_true": there,
            "yes_said": claimed is True,
            "yes_right": there and claimed is True,
        }
    if said.problem is not None:
        return _unparsed(said, got, perfect)
    kind, (cause, _) = "wrong_answer", wrong_answer_cause(text, question.answers)
    if there is not None and claimed is None:
        kind, cause = "unparsed", "neither yes nor no"
    elif there is not None and claimed is not there:
        kind, cause = ("missed_object", "denied") if there else ("hallucination", "yes-bias")
    elif got["exact"]:
        cause = "minority answer"
    repair = _difference(perfect, got)
    errors = (Error(kind, cause, repair, name=question.answers[0]),) if repair else ()
    return Judgement(_numbers(got), errors, bool(got["exact"]))


def is_existence(question: Question) -> bool | None:
    """The truth of a yes/no question of kind "existence"; None for any other question."""
    truths = {yes_or_no(answer) for answer in question.answers} if question.kind == "existence" else set()
    return truths.pop() if len(truths) == 1 else None


def judge_caption(said: Answer, example: Example, names: Names, priors: ObjectPriors) -> Judgement:
    """Objects mentioned against objects present, where the dataset has a closed vocabulary.

    Right iff no mention is hallucinated. What a caption leaves out is a missed object with cause "omission".
    """
    if names.vocabulary is None or (example.objects is None and not example.captions):
        return Judgement()
    text = said.text if said.problem is None else ""
    present = None if example.objects is None else [item.name for item in example.objects]
    found = match_caption(text, present, example.captions, names)
    got: Statistics = {
        "captions": 1,
        "captions_wrong": bool(found.hallucinated),
        "mentions": len(found.mentioned),
        "mentions_wrong": len(found.hallucinated),
        "names_true": len(found.covered) + len(found.omitted),
        "names_covered": len(found.covered),
    }
    if said.problem is not None:
        return _unparsed(said, got, got | {"names_covered": got["names_true"]})
    there = {*found.covered, *found.omitted}
    errors = []
    for position, name in enumerate(found.hallucinated):
        repair: Statistics = {"mentions": -1, "mentions_wrong": -1}
        if position == 0:  # the caption as a whole is put right once, however many of its mentions are wrong
            repair["captions_wrong"] = -1
        cause = "co-occurrence prior" if priors.expected(name, there) else "absent class"
        errors.append(Error("hallucination", cause, repair, name))
    errors += [Error("missed_object", "omission", {"names_covered": 1}, name) for name in found.omitted]
    return Judgement(_numbers(got), tuple(errors), not found.hallucinated)


def judge_detection(
    said: Detection, true: Sequence[Object] | None, size: ImageSize | None, names: Names, priors: ObjectPriors
) -> Judgement:
    """Recall and precision at IoU .5, overall and by object size (`size` None: the picture could not be opened).

    A prediction that lies on an object of another name costs twice, as in any detection metric: a hallucination ("wrong
    name") and a missed object ("named differently").
    """
    boxes = [item.box for item in true or () if item.box is not None]
    if true is None or len(boxes) < len(true):
        return Judgement()
    wanted = [item.box for item in true if not item.crowd]
    if said.problem is not None or size is None:
        got = _sum(_counted(box, size, "true") for box in wanted)
        perfect = _sum(_counted(box, size, "true", "predicted", "recalled", "precise") for box in wanted)
        return _unparsed(said, got, perfect)

    found = match_objects(said.objects, true, names)
    present = {names.canonical(item.name) for item in true}
    got = _sum(
        [_counted(box, size, "true") for box in wanted]
        + [_counted(p.box, size, "predicted") for i, p in enumerate(said.objects) if i not in found.ignored]
        + [_counted(said.objects[p].box, size, "precise") for p, _ in found.found]
        + [_counted(true[t].box, size, "recalled") for _, t in found.found]
    )
    errors = []
    for p, t in found.mislocated:
        moved = _sum([_counted(boxes[t], size, "recalled", "precise", "predicted")])
        repair = _difference(moved, _counted(said.objects[p].box, size, "predicted"))
        others = [box for i, box in enumerate(boxes) if i != t]
        cause = location_cause(said.objects[p].box, boxes[t], others, size)
        errors.append(Error("wrong_location", cause, repair, true[t].name, p, t))

    renamed = dict(found.renamed)
    for p in sorted([*renamed, *found.duplicates, *found.extra]):
        name = names.canonical(said.objects[p].name)
        if p in renamed:
            cause = "wrong name"
        elif p in found.duplicates:
            cause = "duplicate"
        elif name in present:
            cause = "extra count"
        else:
            cause = "co-occurrence prior" if priors.expected(name, present) else "absent class"
        repair = _difference({}, _counted(said.objects[p].box, size, "predicted"))
        errors.append(Error("hallucination", cause, repair, said.objects[p].name, predicted=p))

    confused = set(renamed.values())
    for t in sorted([*confused, *found.missed]):
        others = [box for i, box in enumerate(boxes) if i != t]
        cause = "named differently" if t in confused else miss_cause(boxes[t], others, size)
        repair = _counted(boxes[t], size, "recalled", "precise", "predicted")
        errors.append(Error("missed_object", cause, repair, true[t].name, true=t))
    return Judgement(got, tuple(errors), not errors)


def judge_grounding(
    said: Detection, reference: Reference, objects: Iterable[Object] | None, size: ImageSize | None
) -> Judgement:
    """Mean IoU and hits at five thresholds. All that one expression loses has one kind.

    Boxes for what is not there, or more boxes than are meant, are a hallucination; no or too few boxes a missed object;
    the right number in the wrong places (or just loosely drawn) a wrong location.
    """
    perfect: Statistics = {"expressions": 1, "iou": 1, **{f"hit@{t}": 1 for t in THRESHOLDS}}
    if said.problem is not None or size is None:
        nothing: Statistics = {**dict.fromkeys(perfect, 0), "expressions": 1}
        return _unparsed(said, nothing, perfect)
    boxes = [item.box for item in said.objects if item.box is not None]
    score = score_grounding(boxes, reference.boxes)
    got: Statistics = {"expressions": 1, "iou": score.iou, **{f"hit@{t}": hit for t, hit in score.hits.items()}}
    repair = _difference(perfect, got)
    if not repair:
        return Judgement(_numbers(got), right=True)
    others = [item.box for item in objects or () if item.box is not None]
    true_index: int | None = None
    if len(boxes) > len(reference.boxes):
        kind, cause = "hallucination", "extra count" if reference.boxes else "absent object"
    elif len(boxes) < len(reference.boxes):
        true_index = min(set(range(len(reference.boxes))) - {t for _, t in score.pairs})
        missed = reference.boxes[true_index]
        kind, cause = "missed_object", miss_cause(missed, [box for box in others if box != missed], size)
    else:
        kind = "wrong_location"
        cause, true_index = _worst_location(boxes, reference.boxes, score.pairs, others, size)
    error = Error(kind, cause, repair, reference.text, true=true_index)
    return Judgement(_numbers(got), (error,), score.hits[0.5])


def _worst_location(
    boxes: Sequence[Box], true: Sequence[Box], pairs: Sequence[tuple[int, int]], others: Sequence[Box], size: ImageSize
) -> tuple[str, int]:
    """Cause and true index of the first box that is below the threshold, or "loose" where all are above it."""
    matched = {t: p for p, t in pairs}
    spare = [p for p in range(len(boxes)) if p not in matched.values()]
    for t, box in enumerate(true):
        predicted = boxes[matched[t]] if t in matched else boxes[spare.pop(0)]
        cause = location_cause(predicted, box, [other for other in others if other != box], size)
        if cause != "loose":
            return cause, t
    return "loose", 0


def _unparsed(said: Answer | Detection, got: Statistics, perfect: Statistics) -> Judgement:
    cause = "unreadable picture" if said.rule == NO_PICTURE else "unreadable output"
    return Judgement(_numbers(got), (Error("unparsed", cause, _difference(perfect, got)),), False)


def _counted(box: Box | None, size: ImageSize | None, *statistics: str) -> Statistics:
    """One object in each of `statistics`, and in those of its size."""
    suffixes = [""] if box is None or size is None else ["", f".{size_class(box, size)}"]
    return {f"{statistic}{suffix}": 1 for statistic in statistics for suffix in suffixes}


def _sum(parts: Iterable[Statistics]) -> Statistics:
    total: Statistics = {"true": 0, "predicted": 0, "recalled": 0, "precise": 0}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _difference(target: Statistics, start: Statistics) -> Statistics:
    """What must be added to `start` to get `target`; unchanged statistics are left out."""
    changes = {name: target.get(name, 0) - start.get(name, 0) for name in target | start}
    return {name: change for name, change in changes.items() if change}


def _numbers(statistics: Statistics) -> Statistics:
    """Bools as 0 and 1, so that a row's JSON holds numbers only."""
    return {name: value if isinstance(value, float) else int(value) for name, value in statistics.items()}
