"""POPE: its numbers by hand, its file layouts, and answers that do not fit."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chiasm.errors import ConfigError, DataError
from chiasm.score.choice.pope import score_pope
from chiasm.score.faults.unparsed import if_unparsed_were_right


def write_lines(path, rows, end="\n"):
    path.write_bytes("".join(json.dumps(row) + end for row in rows).encode())
    return path


def question_rows(labels, image="{}.jpg"):
    return [
        {"question_id": n, "image": image.format(n), "text": f"Is there a thing {n} in the image?", "label": label}
        for n, label in enumerate(labels, start=1)
    ]


def numbers(score, where=None):
    return {value.metric: value.value for value in score.values if value.slice == where}


@pytest.fixture
def pope(tmp_path):
    """Write questions with `labels` and answers in order, and score them."""

    def run(labels, answers, **options):
        questions = write_lines(tmp_path / "coco_pope_random.json", question_rows(labels))
        rows = [
            {"question": f"Is there a thing {n} in the image?", "answer": a} for n, a in enumerate(answers, start=1)
        ]
        return score_pope([questions], [write_lines(tmp_path / "answers.jsonl", rows)], **options)

    return run


# 6 questions, 3 of them yes. Official reading: yes yes no | yes no no with "maybe" as a yes.
LABELS = ["yes", "yes", "yes", "no", "no", "no"]
ANSWERS = ["Yes", "maybe", "no", "yes", "no", "No, there is not"]


def test_official_numbers_by_hand(pope):
    # Yes to 1, 2, 4: 2 of the 3 are right; 2 of 3 positives found; right on 1, 2, 5, 6.
    found = numbers(pope(LABELS, ANSWERS))
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["precision"] == found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["yes_ratio"] == pytest.approx(0.5)
    assert found["unparsed"] == 0


def test_lmms_numbers_by_hand(pope):
    # "maybe" and "No, there is not" are unparsed: right on 1 and 5 of 6. Yes to 1 and 4: precision 1/2. Of the
    # positives 1 and 3 are answered by yes or no, 1 is found: recall 1/2.
    score = pope(LABELS, ANSWERS, dialect="lmms")
    found = numbers(score)
    assert found["accuracy"] == pytest.approx(2 / 6)
    assert found["precision"] == found["recall"] == found["f1"] == pytest.approx(1 / 2)
    assert found["yes_ratio"] == pytest.approx(2 / 6)
    assert found["unparsed"] == pytest.approx(2 / 6)
    # Were "maybe" yes and "No, there is not" no, 4 of 6 would be right, and yes said to 1, 2 and 4 of the positives 1
    # to 3.
    assert if_unparsed_were_right(score) == pytest.approx(
        dict.fromkeys(("accuracy", "precision", "recall", "f1"), 2 / 3)
    )


def test_vlmevalkit_numbers_by_hand(pope):
    # Only "maybe" is unparsed; it counts as a missed positive: recall 1/3, precision 1/2, F1 2 * 1 / (2 + 3).
    found = numbers(pope(LABELS, ANSWERS, dialect="vlmevalkit"))
    assert found["accuracy"] == pytest.approx(3 / 6)
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["f1"] == pytest.approx(2 / 5)


def test_baselines_are_beside_the_numbers(pope):
    found = numbers(pope(LABELS, ANSWERS))
    assert found["baseline.all_yes.f1"] == pytest.approx(2 / 3)
    assert found["baseline.chance.accuracy"] == found["baseline.chance.f1"] == 0.5


def test_answers_that_are_yes_only_by_default_are_counted_in_the_notes(pope):
    assert any(note.startswith("1 answers have none of the words") for note in pope(LABELS, ANSWERS).notes)


def test_precision_without_any_yes_is_undefined_and_f1_is_zero(pope):
    found = numbers(pope(LABELS, ["no"] * 6))
    assert found["precision"] is None
    assert found["f1"] == 0


def test_items_keep_the_rule_and_the_reason(pope):
    items = pope(LABELS, ANSWERS, dialect="lmms").items
    assert items[1].parsed is None
    assert items[1].problem == "neither yes nor no"
    assert (items[0].parsed, items[0].truth, items[0].rule) == ("yes", "yes", "nothing but yes or no")
    assert items[0].id == "random/1"
    assert items[0].slices == {"split": "random"}


@given(
    st.lists(st.tuples(st.sampled_from(["yes", "no"]), st.sampled_from(["Yes", "No", "?", ""])), min_size=1),
    st.randoms(),
)
def test_order_of_the_questions_does_not_matter(tmp_path_factory, pairs, shuffler):
    folder = tmp_path_factory.mktemp("pope")
    rows = question_rows([label for label, _ in pairs])
    answers = [{"question_id": n, "text": text} for n, (_, text) in enumerate(pairs, start=1)]
    before = score_pope([write_lines(folder / "q.json", rows)], [write_lines(folder / "a.json", answers)])
    shuffler.shuffle(rows)
    shuffler.shuffle(answers)
    after = score_pope([write_lines(folder / "q.json", rows)], [write_lines(folder / "a.json", answers)])
    assert numbers(before) == pytest.approx(numbers(after), nan_ok=True)


def test_ids_of_mixed_types_meet_and_byte_order_mark_and_crlf_are_read(tmp_path):
    questions = write_lines(tmp_path / "q.json", question_rows(["yes", "no"]), end="\r\n")
    answers = tmp_path / "a.jsonl"
    answers.write_bytes(b'\xef\xbb\xbf{"question_id": "2", "text": "no"},\r\n{"question_id": 1, "text": "yes"}\r\n')
    assert numbers(score_pope([questions], [answers]))["accuracy"] == 1


def test_mean_of_splits_differs_from_the_pooled_value(tmp_path):
    # Split one: 1 question, F1 1. Split two: 3 positives, 1 found, F1 2 * 1 / (1 + 3) = 1/2. Mean 3/4, pooled 4/6.
    questions = [
        write_lines(tmp_path / "coco_pope_random.json", question_rows(["yes"])),
        write_lines(tmp_path / "coco_pope_popular.json", question_rows(["yes", "yes", "yes"])),
    ]
    answers = [
        write_lines(tmp_path / "a.json", [{"question_id": 1, "text": "yes"}]),
        write_lines(
            tmp_path / "b.json", [{"question_id": n, "text": t} for n, t in [(1, "yes"), (2, "no"), (3, "no")]]
        ),
    ]
    score = score_pope(questions, answers)
    assert numbers(score)["f1.mean_of_splits"] == pytest.approx(3 / 4)
    assert numbers(score)["f1"] == pytest.approx(4 / 6)
    assert numbers(score, ("split", "popular"))["f1"] == pytest.approx(1 / 2)


def test_a_category_column_names_the_splits_of_one_file(tmp_path):
    rows = [dict(row, category=c) for row, c in zip(question_rows(["yes", "no"]), ["random", "popular"], strict=True)]
    answers = write_lines(tmp_path / "a.json", [{"question_id": n, "text": "yes"} for n in (1, 2)])
    score = score_pope([write_lines(tmp_path / "q.json", rows)], [answers])
    assert numbers(score, ("split", "random"))["accuracy"] == 1
    assert numbers(score, ("split", "popular"))["accuracy"] == 0


def test_intervals_are_by_image_and_of_the_metric_itself(tmp_path):
    # 40 images with 6 questions that are all right or all wrong: far fewer independent trials than questions.
    rows = [dict(row, image=f"{n // 6}.jpg") for n, row in enumerate(question_rows(["yes", "no"] * 120))]
    texts = [row["label"] if n // 6 % 4 else {"yes": "no", "no": "yes"}[row["label"]] for n, row in enumerate(rows)]
    answers = [{"question_id": row["question_id"], "text": text} for row, text in zip(rows, texts, strict=True)]
    score = score_pope([write_lines(tmp_path / "q.json", rows)], [write_lines(tmp_path / "a.json", answers)])
    [accuracy] = [value for value in score.values if value.metric == "accuracy" and value.slice is None]
    assert accuracy.value == pytest.approx(0.75)
    # Standard error of 40 independent images is .068; of 240 questions it would be .028.
    assert accuracy.ci_high - accuracy.ci_low == pytest.approx(2 * 1.96 * 0.068, rel=0.2)
    [f1] = [value for value in score.values if value.metric == "f1" and value.slice is None]
    assert f1.ci_low < f1.value < f1.ci_high


def llava_files(tmp_path):
    questions = [
        write_lines(tmp_path / "coco_pope_random.json", question_rows(["yes", "no"])),
        write_lines(tmp_path / "coco_pope_popular.json", question_rows(["no", "yes"])),
    ]
    listed = [
        {
            "question_id": n,
            "image": f"{k}.jpg",
            "text": f"Is there a thing {k} in the image?\nAnswer briefly.",
            "category": c,
        }
        for n, (c, k) in enumerate([("popular", 1), ("popular", 2), ("random", 1), ("random", 2)])
    ]
    answers = [{"question_id": n, "prompt": "", "text": t} for n, t in enumerate(["no", "yes", "yes", "yes"])]
    return questions, listed, answers


def test_llava_answers_of_all_splits_in_one_file(tmp_path):
    questions, listed, answers = llava_files(tmp_path)
    listed_path = write_lines(tmp_path / "llava_pope_test.jsonl", listed)
    score = score_pope(questions, [write_lines(tmp_path / "a.jsonl", answers)], llava_questions=listed_path)
    assert numbers(score, ("split", "popular"))["accuracy"] == 1
    assert numbers(score, ("split", "random"))["accuracy"] == 0.5


def test_llava_list_of_another_version_is_refused(tmp_path):
    questions, listed, answers = llava_files(tmp_path)
    path = write_lines(tmp_path / "a.jsonl", answers)
    listed[3]["image"] = "9.jpg"
    with pytest.raises(DataError, match=r"'3' is about '9.jpg'.*question_id '2'"):
        score_pope(questions, [path], llava_questions=write_lines(tmp_path / "l.jsonl", listed))
    listed[3]["category"] = "popular"
    with pytest.raises(DataError, match=r"lists 1 questions of category 'random'.*2: they are of different versions"):
        score_pope(questions, [path], llava_questions=write_lines(tmp_path / "l.jsonl", listed))


def test_answers_in_order_must_be_as_many_and_of_the_same_wording(pope, tmp_path):
    with pytest.raises(DataError, match=r"5 answers.*6 questions"):
        pope(LABELS, ANSWERS[:5])
    questions = write_lines(tmp_path / "q.json", question_rows(["yes", "no"]))
    rows = [{"question": f"Is there a thing {n} in the image?", "answer": "yes"} for n in (2, 1)]
    with pytest.raises(DataError, match=r"line 1 answers .*thing 2.*in that place is .*thing 1"):
        score_pope([questions], [write_lines(tmp_path / "a.json", rows)])


def test_missing_answers_are_an_error_unless_they_shall_count_as_wrong(tmp_path):
    questions = [write_lines(tmp_path / "q.json", question_rows(["yes", "no"]))]
    answers = [write_lines(tmp_path / "a.json", [{"question_id": 1, "text": "yes"}])]
    with pytest.raises(DataError, match="no prediction for 1 of 2"):
        score_pope(questions, answers)
    score = score_pope(questions, answers, missing="wrong")
    assert numbers(score)["accuracy"] == 0.5
    assert score.items[1].problem == "no prediction"
    assert "no prediction: 1 of 2 questions, counted as wrong." in score.notes


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question_id": 1, "text": "yes"}] * 2, "a second answer"),
        ([{"question_id": 1, "text": "yes"}, {"question_id": 7, "text": "yes"}], "unknown ids"),
        ([{"question_id": 1, "text": None}, {"question_id": 2, "text": "no"}], "'1': 'text' is None, expected text"),
        ([{"question_id": 1, "text": float("nan")}, {"question_id": 2, "text": "no"}], "is nan, expected text"),
        (
            [{"question_id": 1, "caption": "yes"}, {"question_id": 2, "text": "no"}],
            "no answer under 'prediction', 'answer'",
        ),
        ([], "empty"),
    ],
)
def test_answers_that_do_not_fit_are_named(tmp_path, rows, message):
    questions = write_lines(tmp_path / "q.json", question_rows(["yes", "no"]))
    with pytest.raises(DataError, match=message):
        score_pope([questions], [write_lines(tmp_path / "a.json", rows)])


def test_truncated_answers_and_wrong_labels_are_named(tmp_path):
    questions = write_lines(tmp_path / "q.json", question_rows(["yes", "maybe"]))
    answers = tmp_path / "a.json"
    answers.write_text('{"question_id": 1, "text": "yes"}\n{"question_id": 2, "te')
    with pytest.raises(DataError, match="'2': the label is 'maybe'"):
        score_pope([questions], [answers])
    with pytest.raises(DataError, match="line 2"):
        score_pope([write_lines(tmp_path / "q.json", question_rows(["yes", "no"]))], [answers])


def test_wrong_settings_are_refused(tmp_path):
    questions = write_lines(tmp_path / "q.json", question_rows(["yes"]))
    with pytest.raises(ConfigError, match=r"unknown dialect 'strict'.*official, lmms, vlmevalkit"):
        score_pope([questions], [questions], dialect="strict")
    with pytest.raises(ConfigError, match="1 files of questions"):
        score_pope([questions], [])


def test_real_questions(shared_data, tmp_path):
    path = shared_data / "scoring" / "pope" / "coco_pope_random.json"
    labels = [json.loads(line)["label"] for line in path.read_text().splitlines()]
    truthful = write_lines(tmp_path / "truth.jsonl", [{"answer": label.capitalize()} for label in labels])
    assert numbers(score_pope([path], [truthful]))["f1"] == 1
    # A fixed random number generator that is wrong on some: compare with a direct count.
    generator = random.Random(0)
    said = [label if generator.random() < 0.8 else "yes" for label in labels]
    found = numbers(score_pope([path], [write_lines(tmp_path / "a.jsonl", [{"answer": text} for text in said])]))
    hits = sum(a == b == "yes" for a, b in zip(said, labels, strict=True))
    assert found["precision"] == pytest.approx(hits / said.count("yes"))
    assert found["recall"] == 1
    assert found["baseline.all_yes.f1"] == pytest.approx(2 / 3)
