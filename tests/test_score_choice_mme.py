"""MME: accuracy, accuracy+ and the official sums, from the files of its own tool and from tables."""

import json

import pytest

from chiasm.errors import ConfigError, DataError
from chiasm.score.choice.mme import COGNITION, PERCEPTION, score_mme


def numbers(score, where=None):
    return {value.metric: value.value for value in score.values if value.slice == where}


def line(image, truth, answer):
    return f"{image}\tIs it?\t{truth}\t{answer}"


@pytest.fixture
def folder(tmp_path):
    """Two tasks. existence: one picture with both right, one with one right. code_reasoning: one with one right and one
    answer that is neither."""
    (tmp_path / "existence.txt").write_text(
        "\n".join([
            line("a.jpg", "Yes", "Yes, there is"), line("a.jpg", "No", "No."),
            line("b.jpg", "Yes", "yes"), line("b.jpg", "No", "Yes"),
        ])
    )  # fmt: skip
    (tmp_path / "code_reasoning.txt").write_text(
        "\r\n".join([line("a.jpg", "Yes", "yes"), line("a.jpg", "No", "It prints\t0")]) + "\r\n"
    )
    return tmp_path


def test_numbers_by_hand(folder):
    score = score_mme(folder)
    # existence: 3 of 4 right, 1 of 2 pictures: 75 + 50. code_reasoning: 1 of 2, 0 of 1: 50 + 0.
    assert numbers(score, ("task", "existence")) == pytest.approx(
        {"accuracy": 0.75, "accuracy_plus": 0.5, "score": 125, "unparsed": 0, "baseline.chance.score": 75}
    )
    assert numbers(score, ("task", "code_reasoning"))["score"] == pytest.approx(50)
    found = numbers(score)
    assert found["perception"] == pytest.approx(125)
    assert found["cognition"] == pytest.approx(50)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["accuracy_plus"] == pytest.approx(1 / 3)
    assert found["unparsed"] == pytest.approx(1 / 6)
    assert "score" not in found
    assert found["baseline.chance.perception"] == 75


def test_notes_say_which_tasks_are_absent(folder):
    notes = " ".join(score_mme(folder).notes)
    assert "Perception covers 1 of 10 tasks (at most 200 points)" in notes


def test_pictures_of_two_tasks_with_one_name_are_different_pictures(folder):
    assert {item.image for item in score_mme(folder).items} == {
        "existence/a.jpg",
        "existence/b.jpg",
        "code_reasoning/a.jpg",
    }


def test_dialects_read_an_answer_differently(tmp_path):
    (tmp_path / "scene.txt").write_text(line("a", "Yes", "  yes") + "\n" + line("a", "No", "n"))
    assert numbers(score_mme(tmp_path))["accuracy"] == 0
    score = score_mme(tmp_path, "lmms")
    assert (score.dialect, numbers(score)["accuracy"]) == ("lmms", 1)
    with pytest.raises(ConfigError, match="unknown dialect 'llava' of MME; choose from official, lmms"):
        score_mme(tmp_path, "llava")


def test_all_tasks_right_reach_the_official_maxima(tmp_path):
    for task in PERCEPTION + COGNITION:
        rows = [line(f"{n}.jpg", truth, truth) for n in range(2) for truth in ("Yes", "No")]
        (tmp_path / f"{task}.txt").write_text("\n".join(rows))
    score = score_mme(tmp_path)
    assert (numbers(score)["perception"], numbers(score)["cognition"]) == (2000, 800)
    assert score.notes == ()


def test_a_table_gives_the_same_numbers_as_the_folder(folder, tmp_path):
    rows = [
        {
            "category": i.slices["task"],
            "question_id": i.image,
            "question": "Is it?",
            "answer": i.truth,
            "prediction": i.prediction,
        }
        for i in score_mme(folder).items
    ]
    table = tmp_path / "rows.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    assert numbers(score_mme(table)) == numbers(score_mme(folder))


def test_a_picture_with_one_question_counts_in_accuracy_only(tmp_path):
    rows = [line("a", "Yes", "yes"), line("b", "Yes", "no"), line("b", "No", "no")]
    (tmp_path / "scene.txt").write_text("\n".join(rows))
    score = score_mme(tmp_path)
    assert numbers(score)["accuracy"] == pytest.approx(2 / 3)
    assert numbers(score)["accuracy_plus"] == 0
    assert "1 pictures have one question instead of two" in score.notes[-1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "scene.txt",
            "\n".join([line("a", "Yes", "yes")] * 3),
            "more than two questions, the first is 'a' of scene with 3",
        ),
        ("scene.txt", "a.jpg\tIs it?\tYes", "line 1: 3 cells"),
        ("scene.txt", line("a", "Maybe", "yes"), "line 1: the truth is 'Maybe'"),
        ("weather.txt", line("a", "Yes", "yes"), "'weather' is not a task of MME"),
        ("readme.md", "", "no question of MME"),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        score_mme(tmp_path)


def test_line_separators_inside_an_answer_do_not_end_it(tmp_path):
    (tmp_path / "scene.txt").write_text(line("a", "Yes", "yes\u2028\x0cindeed") + "\n" + line("a", "No", "no"))
    assert numbers(score_mme(tmp_path))["accuracy_plus"] == 1
