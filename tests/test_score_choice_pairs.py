"""Consistency over groups: NLVR2, Winoground, SugarCrepe, and any file with groups."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import DataError
from chiasm.score.choice.contrast import score_sugarcrepe, score_winoground
from chiasm.score.choice.pairs import score_groups, score_nlvr2


def numbers(score, where=None):
    return {value.metric: value.value for value in score.values if value.slice == where}


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_nlvr2_consistency_by_hand(tmp_path):
    # Sentence S with four pairs, three right: 3/4. Sentence T with two, both right. 5 of 6 items, 1 of 2 sentences.
    examples = [
        *({"identifier": f"dev-1-{n}-0", "sentence": "S", "label": "True"} for n in range(4)),
        *({"identifier": f"dev-1-{n}-1", "sentence": "T", "label": label} for n, label in enumerate(["True", "False"])),
    ]
    said = ["True", "true", "The statement is true.", "False", "T", "F"]
    rows = [{"identifier": e["identifier"], "prediction": text} for e, text in zip(examples, said, strict=True)]
    score = score_nlvr2(write(tmp_path / "dev.json", examples), write(tmp_path / "p.jsonl", rows))
    found = numbers(score)
    assert found["accuracy"] == pytest.approx(5 / 6)
    assert found["accuracy.group"] == 0.5
    # Always true: 5 of 6 labels, and sentence S whole.
    assert found["baseline.majority.accuracy"] == pytest.approx(5 / 6)
    assert found["baseline.majority.accuracy.group"] == 0.5
    assert {item.image for item in score.items} == {"dev-1"}
    assert score.notes == (
        "3 answers are read that are not True or False alone; the official script has them wrong.",
        "2 groups of 2 or 4.",
    )


def test_nlvr2_in_the_files_of_its_script(tmp_path):
    # The same words about two sets of pictures are two sentences: one is judged rightly for both its pairs.
    said = {"dev-1-0-0": "True", "dev-1-1-0": "False", "dev-2-0-0": "True", "dev-2-1-0": "True"}
    examples = [
        {"identifier": name, "sentence": "There are two dogs.", "label": "False" if name == "dev-1-1-0" else label}
        for name, label in zip(said, ("True", "False", "True", "False"), strict=True)
    ]
    (tmp_path / "p.csv").write_text("\n".join(map(",".join, said.items())) + "\n")
    score = score_nlvr2(write(tmp_path / "dev.json", examples), tmp_path / "p.csv")
    assert numbers(score)["accuracy"] == 0.75
    assert numbers(score)["accuracy.group"] == 0.5
    assert score.items[0].prompt.startswith("There are two dogs.")
    (tmp_path / "headed.csv").write_text("identifier,prediction\n" + (tmp_path / "p.csv").read_text())
    assert score_nlvr2(tmp_path / "dev.json", tmp_path / "headed.csv").values == score.values
    with pytest.raises(DataError, match="expected split-set-pair-sentence"):
        score_nlvr2(write(tmp_path / "e.json", [{**examples[0], "identifier": "7"}]),
                    write(tmp_path / "p.jsonl", [{"identifier": "7", "prediction": "True"}]))  # fmt: skip


def test_nlvr2_refuses_other_labels_and_missing_predictions(tmp_path):
    example = {"identifier": "dev-1-0-0", "sentence": "S", "label": "True"}
    predictions = write(tmp_path / "p.jsonl", [{"identifier": "dev-1-0-0", "prediction": "True"}])
    with pytest.raises(DataError, match="the label is 'perhaps'"):
        score_nlvr2(write(tmp_path / "e.json", [{**example, "label": "perhaps"}]), predictions)
    with pytest.raises(DataError, match="no prediction for 1 of 2"):
        score_nlvr2(write(tmp_path / "e.json", [example, {**example, "identifier": "dev-2-0-0"}]), predictions)


def test_groups_by_hand_from_csv(tmp_path):
    path = tmp_path / "g.csv"
    path.write_text("id,group,answer,prediction\n1,a,yes,Yes.\n2,a,no,no\n3,b,yes,yes\n4,b,no,\n")
    score = score_groups(path)
    assert numbers(score)["accuracy"] == 0.75
    assert numbers(score)["accuracy.group"] == 0.5
    assert score.items[3].problem == "empty answer"
    assert numbers(score)["unparsed"] == 0.25


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1))
def test_groups_are_never_easier_than_their_parts_on_average_when_of_one_size(tmp_path_factory, drawn):
    rows = [
        {"id": f"{n}-{k}", "group": n, "answer": "x", "prediction": "x" if right or k != hit else "y"}
        for n, (hit, right) in enumerate(drawn)
        for k in range(4)
    ]
    found = numbers(score_groups(write(tmp_path_factory.mktemp("groups") / "g.jsonl", rows)))
    assert found["accuracy.group"] <= found["accuracy"]
    assert found["accuracy.group"] == pytest.approx(sum(right for _, right in drawn) / len(drawn))


def test_groups_without_a_group_are_named(tmp_path):
    rows = [{"id": 1, "answer": "a", "prediction": "a"}]
    with pytest.raises(DataError, match="id '1': 'group' is None"):
        score_groups(write(tmp_path / "g.jsonl", rows))


def winoground(c0_i0, c0_i1, c1_i0, c1_i1, **more):
    return {"c0_i0": c0_i0, "c0_i1": c0_i1, "c1_i0": c1_i0, "c1_i1": c1_i1, **more}


def test_winoground_by_hand(tmp_path):
    rows = [
        winoground(2, 1, 1, 2, id=0, tag="Object"),  # all four comparisons hold
        winoground(5, 1, 2, 3, id=1, tag="Object"),  # text 5>2, 3>1; image 5>1, 3>2
        winoground(5, 4, 2, 6, id=2, tag="Relation"),  # text 5>2, 6>4; image 5>4, 6>2
        winoground(5, 6, 2, 7, id=3, tag="Relation"),  # text 5>2, 7>6; image 5<6
        winoground(3, 1, 4, 5, id=4, tag="Relation"),  # text 3<4; image 3>1, 5>4
        winoground(1, 1, 1, 1, id=5, tag="Relation"),  # ties
    ]
    score = score_winoground(write(tmp_path / "w.jsonl", rows))
    found = numbers(score)
    assert (found["text_score"], found["image_score"]) == (pytest.approx(4 / 6), pytest.approx(4 / 6))
    assert found["group_score"] == 0.5
    assert numbers(score, ("tag", "Object"))["group_score"] == 1
    assert found["baseline.chance.group_score"] == pytest.approx(1 / 6)


def test_winoground_chance_of_a_group_is_one_in_six():
    # Of the 24 orders of four different scores, those in which both right ones beat both wrong ones: 2 * 2 = 4.
    from itertools import permutations

    right = [min(a, d) > max(b, c) for a, b, c, d in permutations(range(4))]
    assert sum(right) / len(right) == pytest.approx(1 / 6)


def test_sugarcrepe_by_hand(tmp_path):
    rows = [
        {"id": "0", "type": "swap-obj", "image": "a.jpg", "positive": 0.3, "negative": 0.2},
        {"id": "1", "type": "swap-obj", "image": "a.jpg", "positive": 0.2, "negative": 0.2},
        {"id": "2", "type": "add-att", "image": "b.jpg", "positive": 0.9, "negative": -1},
    ]
    score = score_sugarcrepe(write(tmp_path / "s.jsonl", rows))
    assert numbers(score)["accuracy"] == pytest.approx(2 / 3)
    assert numbers(score, ("type", "swap-obj"))["accuracy"] == 0.5
    assert score.dialect == "ties are wrong"


@pytest.mark.parametrize("value", ["nan", "inf", "", None, "high"])
def test_scores_that_are_no_numbers_are_named(tmp_path, value):
    with pytest.raises(DataError, match=r"id '0': 'negative' is .*, expected a finite number"):
        score_sugarcrepe(write(tmp_path / "s.jsonl", [{"id": 0, "positive": 1, "negative": value}]))
