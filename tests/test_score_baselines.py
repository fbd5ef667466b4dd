import json
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.baselines import beside_blind, majority_values
from chiasm.score.captioning.score import caption_baselines, score_captions
from chiasm.score.choice.mmbench import score_mmbench
from chiasm.score.choice.mme import score_mme
from chiasm.score.choice.pope import score_pope
from chiasm.score.choice.scienceqa import score_scienceqa
from chiasm.score.choice.seed import score_seed
from chiasm.score.measure import ratio
from chiasm.score.regions.refcoco import score_refcoco
from chiasm.score.result import Item, Score, Value
from chiasm.score.retrieval.cross_modal import expected_by_chance
from chiasm.score.vqa.accuracy import score_vqa
from chiasm.score.vqa.anls import score_anls
from chiasm.score.vqa.chartqa import score_chartqa
from chiasm.score.vqa.daquar import score_daquar
from chiasm.score.vqa.gqa import score_gqa
from chiasm.score.vqa.soft_accuracy import DIALECTS
from chiasm.score.vqa.vizwiz import score_vizwiz


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def numbers(score: Score, where: tuple[str, str] | None = None) -> dict[str, float | None]:
    return {value.metric: value.value for value in score.values if value.slice == where}


def item(name: str, points: float = 0.0, **slices: str) -> Item:
    return Item(name, name, "", "", "", {"questions": 1.0, "points": points}, slices=slices)


KINDS = ("color", "count")
ANSWERS = st.lists(st.sampled_from(["a", "A", "b", "c "]), min_size=1, max_size=4)


@given(st.lists(st.tuples(ANSWERS, st.sampled_from(KINDS)), min_size=1, max_size=12))
def test_the_majority_scores_what_saying_it_to_every_question_does(questions: list[tuple[list[str], str]]) -> None:
    def same(text: str) -> str:
        return text.strip().lower()

    def share(text: str, answers: tuple[str, ...]) -> float:
        return sum(same(answer) == same(text) for answer in answers) / len(answers)

    items = [item(str(number), kind=kind) for number, (_, kind) in enumerate(questions)]
    truths = [tuple(answers) for answers, _ in questions]
    values = majority_values(items, truths, tuple, {"share": share}, ["kind"], same)
    found = {(value.metric, value.slice): value for value in values}
    assert len(found) == len(values)
    mean_of = {}
    for kind in (None, *KINDS):
        part = [tuple(answers) for answers, which in questions if kind in (None, which)]
        if not part:
            continue
        counts = Counter(same(answer) for answers in part for answer in answers)
        most = {text for text, count in counts.items() if count == max(counts.values())}
        value = found["baseline.majority.share", None if kind is None else ("kind", kind)]
        assert value.n == len(part)
        # Where several are given equally often, it is one of them.
        reached = [sum(share(text, answers) for answers in part) / len(part) for text in most]
        assert any(value.value == pytest.approx(one) for one in reached)
        mean_of[kind] = value
    by_kind = [mean_of[kind] for kind in KINDS if kind in mean_of]
    expected = sum(value.n * value.value for value in by_kind) / len(items)
    assert found["baseline.majority_by_kind.share", None].value == pytest.approx(expected)


def test_a_rule_may_give_points_for_answers_that_nobody_gave() -> None:
    items, truths = [item("1"), item("2"), item("3")], ["10", "10", "10.2"]
    near = {"near": lambda said, true: float(abs(float(said) - float(true)) < 0.5)}
    [value] = majority_values(items, truths, lambda true: (true,), near, only_given=False)
    assert (value.value, value.ci_low, value.n) == (1.0, None, 3)
    [value] = majority_values(items, truths, lambda true: (true,), near)
    assert value.value == pytest.approx(2 / 3)


def people(*answers: str) -> list[dict]:
    return [{"answer": answer, "answer_id": number} for number, answer in enumerate(answers)]


VQA = [
    {"question_id": 1, "image_id": 1, "answer_type": "yes/no", "answers": people(*["yes"] * 8, "no", "Yes.")},
    {"question_id": 2, "image_id": 1, "answer_type": "yes/no", "answers": people(*["no"] * 8, "yes", "yes")},
    {"question_id": 3, "image_id": 2, "answer_type": "other", "answers": people(*["a red one"] * 7, *["red"] * 3)},
    {"question_id": 4, "image_id": 3, "answer_type": "other", "answers": people(*["red"] * 3, *["blue"] * 7)},
    {"question_id": 5, "image_id": 4, "answer_type": "other", "answers": people(*["Blue"] * 10)},
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_vqa_majorities_are_scored_by_the_rule_of_the_dialect(dialect: str, tmp_path: Path) -> None:
    truth = written(tmp_path, "truth", {"annotations": VQA})

    def accuracy_of(answers: list[str], kind: tuple[str, str] | None = None) -> float | None:
        rows = [{"question_id": row["question_id"], "answer": text} for row, text in zip(VQA, answers, strict=True)]
        return numbers(score_vqa(truth, written(tmp_path, "said", rows), dialect=dialect), kind)["accuracy"]

    score = score_vqa(
        truth, written(tmp_path, "any", [{"question_id": n, "answer": "x"} for n in range(1, 6)]), dialect=dialect
    )
    # Ten people say yes to 1, one or two to 2; "blue" is said by 7 people and written "Blue" by 10 more.
    found = numbers(score)
    yes, other = ("answer_type", "yes/no"), ("answer_type", "other")
    assert numbers(score, yes)["baseline.majority.accuracy"] == pytest.approx(accuracy_of(["yes"] * 5, yes))
    assert numbers(score, other)["baseline.majority.accuracy"] == pytest.approx(accuracy_of(["Blue"] * 5, other))
    assert found["baseline.majority.accuracy"] == pytest.approx(accuracy_of(["Blue"] * 5))
    by_type = accuracy_of(["yes"] * 2 + ["Blue"] * 3)
    assert found["baseline.majority_by_answer_type.accuracy"] == pytest.approx(by_type)


def test_majorities_of_the_other_answer_benchmarks(tmp_path: Path) -> None:
    asked = [("a", "How many?", "3"), ("b", "How many?", "3"), ("c", "How many?", "3.1"), ("d", "Who?", "Ann")]
    rows = [{"imgname": image, "query": text, "label": label} for image, text, label in asked]
    said = written(tmp_path, "lines", "x\n" * 4)
    found = numbers(score_chartqa([written(tmp_path, "chart", rows)], [said]))
    # 3 is within 5 % of 3.1.
    assert found["baseline.majority.relaxed_accuracy.strict"] == 0.75

    lines = [line for image, text, label in asked for line in (text, label, image)]
    score = score_daquar(written(tmp_path, "triples", "\n".join(lines)), said, wordnet=None)
    assert numbers(score)["baseline.majority.accuracy"] == 0.5
    assert numbers(score, ("question_type", "object"))["baseline.majority.accuracy"] is not None

    documents = {
        "data": [{"questionId": n, "answers": [text]} for n, text in enumerate(("Total", "total", "totals", "x"))]
    }
    answers = written(tmp_path, "answers", [{"questionId": n, "answer": "y"} for n in range(4)])
    found = numbers(score_anls(written(tmp_path, "documents", documents), answers))
    # "total" is one edit from "totals", which has six letters.
    assert found["baseline.majority.anls"] == pytest.approx((1 + 1 + 5 / 6) / 4)
    assert found["baseline.majority.exact"] == 0.5

    kinds = [("query", "obj", "cat"), ("query", "obj", "cat"), ("verify", "attr", "yes"), ("query", "obj", "dog")]
    questions = {
        str(n): {"question": "?", "answer": answer, "imageId": str(n), "types": {"structural": kind, "semantic": about}}
        for n, (kind, about, answer) in enumerate(kinds)
    }
    answers = written(tmp_path, "gqa_said", [{"questionId": str(n), "prediction": "y"} for n in range(4)])
    score = score_gqa(written(tmp_path, "gqa", questions), answers)
    assert numbers(score)["baseline.majority.accuracy"] == 0.5
    assert numbers(score)["baseline.majority_by_structural_type.accuracy"] == 0.75
    assert numbers(score, ("structural_type", "verify"))["baseline.majority.accuracy"] == 1.0


def test_blind_points_by_hand() -> None:
    def scored(points: list[float]) -> Score:
        items = tuple(item(str(number), value) for number, value in enumerate(points))
        return Score("any", "", (Value("accuracy", 0.5, 4),), items)

    accuracy = {"accuracy": ratio("points", "questions")}
    # 2.5 points with the picture; of these 1 + 0 + .3 blind as well; one more question is right blind only.
    found = numbers(beside_blind(scored([1, 1, 0.5, 0]), scored([1, 0, 0.3, 1]), accuracy))
    assert found["baseline.blind.accuracy"] == pytest.approx(2.3 / 4)
    assert found["right_blind_too.accuracy"] == pytest.approx(1.3 / 2.5)
    with pytest.raises(DataError, match="not scored on the same items"):
        beside_blind(scored([1, 0]), scored([1]), accuracy)


def test_blind_predictions_of_vqa_and_pope(tmp_path: Path) -> None:
    truth = written(tmp_path, "truth", {"annotations": VQA})
    seeing = [{"question_id": n, "answer": text} for n, text in enumerate(["yes", "no", "x", "blue", "Blue"], start=1)]
    blind = [row | {"answer": "yes"} for row in seeing]
    score = score_vqa(truth, written(tmp_path, "seeing", seeing), blind=written(tmp_path, "blind", blind))
    # Blind, "yes" has all points of question 1 and those of two people of question 2, whose answer is no.
    assert numbers(score)["baseline.blind.accuracy"] == pytest.approx((1 + 0.6) / 5)
    assert numbers(score)["right_blind_too.accuracy"] == pytest.approx((1 + 0.6) / 4)
    assert numbers(score, ("answer_type", "yes/no"))["right_blind_too.accuracy"] == pytest.approx((1 + 0.6) / 2)

    labels = ["yes", "no", "no", "yes"]
    questions = [{"question_id": n, "image": str(n), "text": "?", "label": label} for n, label in enumerate(labels)]
    files = {
        name: written(
            tmp_path, name, "\n".join(json.dumps({"question_id": n, "text": text}) for n, text in enumerate(said))
        )
        for name, said in {"see": ["yes", "no", "no", "no"], "not": ["yes"] * 4}.items()
    }
    asked = written(tmp_path, "coco_pope_random.json", "\n".join(map(json.dumps, questions)))
    score = score_pope([asked], [files["see"]], blind=[files["not"]])
    assert numbers(score)["baseline.blind.accuracy"] == 0.5
    assert numbers(score)["right_blind_too.accuracy"] == pytest.approx(1 / 3)
    assert numbers(score, ("split", "random"))["baseline.all_yes.f1"] == pytest.approx(2 / 3)


def test_blind_predictions_and_baselines_of_choices(tmp_path: Path) -> None:
    options = {"choice_a": "one", "choice_b": "two"}
    asked = [{"question_id": n, "question_type_id": n % 2, "answer": "AAB"[n], **options} for n in range(3)]
    truth = written(tmp_path, "seed", {"questions": asked, "question_type": {"even": 0, "odd": 1}})
    said, blind = (
        written(tmp_path, name, [{"question_id": n, "prediction": letters[n]} for n in range(3)])
        for name, letters in (("said", "AAB"), ("blind", "BAA"))
    )
    score = score_seed(truth, said, blind=blind)
    found = numbers(score)
    assert (found["accuracy"], found["baseline.blind.accuracy"]) == (1.0, pytest.approx(1 / 3))
    assert found["right_blind_too.accuracy"] == pytest.approx(1 / 3)
    assert found["baseline.majority.accuracy"] == pytest.approx(2 / 3)
    even = numbers(score, ("question_type", "even"))
    assert (even["baseline.chance.accuracy"], even["baseline.majority.accuracy"]) == (0.5, 0.5)
    assert even["right_blind_too.accuracy"] == 0.0

    problems = {str(n): {"choices": ["one", "two"], "answer": n % 2, "split": "test"} for n in range(2)}
    truth = written(tmp_path, "problems", problems)
    said, blind = (
        written(tmp_path, name, {"outputs": {"0": "A", "1": letter}}) for name, letter in (("s", "B"), ("b", "A"))
    )
    assert numbers(score_scienceqa(truth, said, blind=blind))["right_blind_too.accuracy"] == 0.5

    table = "index\tA\tB\tanswer\tprediction\n1\tx\ty\tA\tA\n2\tx\ty\tA\t{}\n1000001\ty\tx\tB\tB\n1000002\ty\tx\tB\tB\n"
    said, blind = (written(tmp_path, name, table.format(letter)) for name, letter in (("m", "A"), ("n", "B")))
    found = numbers(score_mmbench(said, said, blind=blind))
    assert found["baseline.blind.accuracy.circular"] == found["right_blind_too.accuracy.circular"] == 0.5
    assert found["baseline.majority.accuracy.vanilla"] == 1.0


def test_blind_predictions_of_gqa_mme_and_vizwiz(tmp_path: Path) -> None:
    questions = {
        str(n): {"question": "?", "answer": "cat", "imageId": str(n), "types": {"structural": "query", "semantic": "o"}}
        for n in range(4)
    }
    truth = written(tmp_path, "gqa", questions)
    said, blind = (
        written(tmp_path, name, [{"questionId": str(n), "prediction": text} for n, text in enumerate(answers)])
        for name, answers in {"g": ("cat", "cat", "dog", "dog"), "h": ("cat", "dog", "cat", "dog")}.items()
    )
    score = score_gqa(truth, said, blind=blind)
    assert numbers(score)["baseline.blind.accuracy"] == numbers(score)["right_blind_too.accuracy"] == 0.5
    assert numbers(score, ("structural_type", "query"))["baseline.blind.accuracy"] == 0.5

    # With the pictures both of a's and one of b's are right; blind both of b's, so of the pairs none is right in both.
    for name, answers in {"see": ("yes", "no", "yes", "yes"), "not": ("yes", "yes", "yes", "no")}.items():
        pairs = zip(("a", "a", "b", "b"), ("Yes", "No", "Yes", "No"), answers, strict=True)
        (tmp_path / name).mkdir()
        written(tmp_path / name, "color.txt", "".join(f"{image}\t?\t{true}\t{text}\n" for image, true, text in pairs))
    found = numbers(score_mme(tmp_path / "see", blind=tmp_path / "not"))
    assert (found["accuracy_plus"], found["baseline.blind.accuracy_plus"]) == (0.5, 0.5)
    assert (found["right_blind_too.accuracy"], found["right_blind_too.accuracy_plus"]) == (pytest.approx(2 / 3), 0)

    rows = [
        {"image": f"{n}.jpg", "question": "?", "answers": people(*[text] * 10), "answer_type": "other"}
        for n, text in enumerate(("cat", "dog"))
    ]
    said, blind = (
        written(tmp_path, name, [{"image": f"{n}.jpg", "answer": text} for n, text in enumerate(answers)])
        for name, answers in {"v": ("cat", "dog"), "w": ("cat", "cat")}.items()
    )
    found = numbers(score_vizwiz(written(tmp_path, "vizwiz", rows), said, blind=blind))
    assert (found["accuracy"], found["baseline.blind.accuracy"], found["right_blind_too.accuracy"]) == (1, 0.5, 0.5)


@pytest.mark.parametrize(("right", "candidates"), [(1, 1), (1, 4), (2, 5), (3, 6), (5, 5)])
def test_chance_of_retrieval_is_the_mean_over_all_orders(right: int, candidates: int) -> None:
    found = expected_by_chance(right, candidates, (1, 2, 10))
    totals: Counter[str] = Counter()
    orders = list(permutations([True] * right + [False] * (candidates - right)))
    for order in orders:
        ranks = np.flatnonzero(order) + 1
        totals["mrr"] += 1 / ranks[0]
        totals["map"] += float(np.mean(np.arange(1, right + 1) / ranks))
        for k in (1, 2, 10):
            totals[f"hit@{k}"] += bool(ranks[0] <= k)
            totals[f"recall@{k}"] += float(np.mean(ranks <= k))
    assert found == pytest.approx({name: total / len(orders) for name, total in totals.items()})


def test_captions_of_another_image_are_scored_by_the_same_rules(tmp_path: Path) -> None:
    references = {name: [f"a {name} on a mat", f"one {name} there"] for name in ("cat", "dog", "cow")}
    found = caption_baselines(references)
    assert found == caption_baselines(references)
    assert [value.n for value in found] == [3] * len(found)
    score = score_captions(
        written(tmp_path, "refs", references), written(tmp_path, "said", {n: "x" for n in references})
    )
    assert {value.metric: value.value for value in found}.items() <= numbers(score).items()
    # "on a mat" is right for every picture, the animal for none.
    assert 0 < numbers(score)["baseline.another_image.bleu_1"] < 1
    assert caption_baselines({"cat": ["a cat"]}) == ()


def test_the_whole_picture_as_the_answer_to_every_expression(tmp_path: Path) -> None:
    # Of pictures of 200 x 100: 2500, 10000 and 3200 of 20000 pixels.
    boxes = [[0, 0, 50, 50], [100, 0, 100, 100], [20, 20, 40, 80]]
    refs = [
        {
            "ref_id": n,
            "ann_id": n,
            "image_id": n,
            "split": "val",
            "sentences": [{"sent_id": n, "raw": "it", "sent": "it"}],
        }
        for n in range(3)
    ]
    instances = {
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": box} for n, box in enumerate(boxes)],
        "images": [{"id": n, "width": 200, "height": 100} for n in range(3)],
        "categories": [{"id": 1, "name": "thing"}],
    }
    said = [{"ref_id": n, "bbox": box} for n, box in enumerate(boxes)]
    files = (
        written(tmp_path, name, content) for name, content in (("r.json", refs), ("i.json", instances), ("p", said))
    )
    found = numbers(score_refcoco(*files))
    assert (found["acc@0.5"], found["baseline.whole_picture.acc@0.5"]) == (1.0, pytest.approx(1 / 3))
    assert found["baseline.whole_picture.mean IoU"] == pytest.approx((0.125 + 0.5 + 0.16) / 3)
