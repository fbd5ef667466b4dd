"""Robustness, people and judges as a user types them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Server
from PIL import Image
from typer.testing import CliRunner

from chiasm.cli.app import app
from chiasm.score.measures import measures_of
from chiasm.score.score_folder import read_score


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def values(result: Any) -> dict[tuple[str, str | None], float | None]:
    """By metric and the label of its slice."""
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)["metrics"]
    return {(m["metric"], next(iter((m["slice"] or {}).values()), None)): m["value"] for m in metrics}


@pytest.fixture
def pope_runs(tmp_path: Path) -> dict[str, Path]:
    """Run folders of eight questions about eight pictures: all right, five of them lost, one of them lost."""
    questions = [
        {"question_id": n, "image": f"{n}.jpg", "text": "Is there a cat?", "label": ["yes", "no"][n % 2]}
        for n in range(8)
    ]
    gt = lines(tmp_path / "coco_pope_random.json", questions)
    other = {"yes": "No.", "no": "Yes."}
    for name, lost in (("clean", 0), ("blank", 5), ("blur", 1)):
        said = [other[q["label"]] if n < lost else f"{q['label']}." for n, q in enumerate(questions)]
        pred = lines(tmp_path / f"{name}.jsonl", [{"question_id": n, "text": text} for n, text in enumerate(said)])
        assert run("score", "pope", "--gt", gt, "--pred", pred, "--out", tmp_path / name, "--json").exit_code == 0
    return {name: tmp_path / name for name in ("clean", "blank", "blur")}


def test_robustness_of_run_folders(pope_runs: dict[str, Path], tmp_path: Path) -> None:
    command = ("score", "robustness", pope_runs["clean"], f"blank={pope_runs['blank']}", f"blur={pope_runs['blur']}")
    found = values(run(*command, "--json", "--out", tmp_path / "robust"))
    assert found["clean", None] == 1
    assert (found["drop", "blank"], found["drop", "blur"]) == (0.625, 0.125)
    # McNemar on five losses and no win, 2 / 2^5, times 2 by Holm; one loss can't be told from chance.
    assert found["p_adjusted", "blank"] == pytest.approx(2 / 32 * 2)
    assert found["p_adjusted", "blur"] == 1
    assert (found["flip_rate", "blank"], found["lost", "blank"], found["gained", "blank"]) == (0.625, 0.625, 0)
    assert measures_of(read_score(tmp_path / "robust")).keys() == {"flip_rate", "lost", "gained"}
    manifest = json.loads((tmp_path / "robust" / "manifest.json").read_text())
    assert manifest["inputs"].keys() == {"clean", "perturbed blank", "perturbed blur"}
    precision = values(run(*command, "--metric", "precision", "--json"))
    # Of four yes and four no three and two are lost: one of three is right.
    assert precision["perturbed", "blank"] == pytest.approx(1 / 3)
    assert run(*command, "--fail-if", "drop[perturbation=blank]>0.7").exit_code == 0
    limited = run(*command, "--fail-if", "drop[perturbation=blank]>0.5")
    assert (limited.exit_code, "drop is 0.6250" in limited.output) == (1, True)
    table = run(*command)
    assert "blank: accuracy 1 without and 0.375 with it on 8 items of 8 images" in " ".join(table.output.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{clean}", "blur"), 2, "NAME=PATH"), (("{clean}", "blur=nowhere"), 2, "there is no nowhere"),
        (("{clean}", "x={blur}", "x={blank}"), 2, "twice"), (("nowhere", "x={blur}"), 2, "nowhere"),
        (("{clean}", "x={blur}", "--metric", "acuracy"), 1, "accuracy"),
        (("{clean}", "x={blur}", "--metric", "yes_ratio"), 1, "does not rank"),
        (("{clean}",), 1, "no perturbed run"),
    ],
)  # fmt: skip
def test_robustness_of_what_does_not_fit(
    pope_runs: dict[str, Path], arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("score", "robustness", *(argument.format(**pope_runs) for argument in arguments))
    assert result.exit_code == code, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_robustness_of_somebody_elses_scores(tmp_path: Path) -> None:
    clean = lines(tmp_path / "a.jsonl", [{"id": n, "score": 1, "answer": "cat"} for n in range(6)])
    other = lines(tmp_path / "b.jsonl", [{"id": n, "score": n % 2, "answer": "dog"} for n in range(6)])
    found = values(run("score", "robustness", clean, f"paraphrase={other}", "--json"))
    assert (found["drop", "paraphrase"], found["flip_rate", "paraphrase"]) == (0.5, 1)


def test_pictures_and_options_are_perturbed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.eye(20, dtype=np.uint8) * 255).save(tmp_path / "in" / "a.png")
    for kind, strength in (("occlude", ".5"), ("blur", ".1"), ("blank", None)):
        options = ["--strength", strength] if strength else []
        result = run("data", "perturb", tmp_path / "in", "--kind", kind, *options, "-o", tmp_path / kind)
        assert result.exit_code == 0, result.output
        assert (tmp_path / kind / "a.png").exists()
    assert run("data", "perturb", tmp_path / "in", "--kind", "melt", "-o", tmp_path / "x").exit_code == 2
    (tmp_path / "q.json").write_text(json.dumps({"1": {"choices": ["a", "b"], "answer": 0}}))
    result = run("data", "shuffle-options", tmp_path / "q.json", "-o", tmp_path / "s.json")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "s.json").read_text()) == {"1": {"choices": ["b", "a"], "answer": 1}}


def test_people_by_the_kind_of_their_file(tmp_path: Path) -> None:
    answers = tmp_path / "vqa.json"
    answers.write_text(json.dumps({"annotations": [{"question_id": 1, "answers": ["cat"] * 4}]}))
    assert values(run("score", "human", "--gt", answers, "--json"))["human", None] == 1
    captions = tmp_path / "captions.json"
    captions.write_text(json.dumps({"1": ["a cat", "a cat"], "2": ["a dog", "a dog"]}))
    assert values(run("score", "human", "--gt", captions, "--json"))["human_rouge_l", None] == 1
    text = tmp_path / "captions.txt"
    text.write_text("a.jpg#0\ta cat\na.jpg#1\ta cat\nb.jpg#0\ta dog\nb.jpg#1\tno dog\n")
    assert values(run("score", "human", "--gt", text, "--json"))["human_bleu_1", None] == pytest.approx(0.75)


def test_people_of_vizwiz_and_coco(shared_data: Path) -> None:
    vizwiz = shared_data / "scoring/vqa/vizwiz_val_annotations_vqa_format.json"
    found = values(run("score", "human", "--gt", vizwiz, "--dialect", "vizwiz", "--json"))
    assert 0 < found["agreement", None] < found["human", None] < 1  # type: ignore[operator]
    captions = shared_data / "coco-mini/annotations/captions_val2017.json"
    found = values(run("score", "human", "--gt", captions, "--json"))
    # People's own CIDEr-D on COCO is .85 with five references and more images to count rarity in (Chen et al. 2015).
    assert 0.7 < found["human_cider_d", None] < 1.3  # type: ignore[operator]


def test_ratings_preferences_and_aspects(tmp_path: Path) -> None:
    ratings = tmp_path / "r.csv"
    ratings.write_text(
        "item,rater,rating,system\n" + "".join(f"{n},{who},{n % 3},x\n" for n in range(6) for who in "ab")
    )
    found = values(run("score", "ratings", ratings, "--level", "nominal", "--json", "--out", tmp_path / "ratings"))
    assert (found["alpha", None], found["mean_rating", "x"]) == (1, 1)
    compared = [{"item": n, "left": "x", "right": "y", "winner": "x" if n < 6 else "y"} for n in range(8)]
    pairs = lines(tmp_path / "p.jsonl", compared)
    found = values(run("score", "preferences", pairs, "--json", "--out", tmp_path / "preferences"))
    assert found["strength", "x"] == pytest.approx(np.log(3) / 2)
    assert found["win_rate", "y"] == 0.25
    command = ("score", "aspects", f"x={tmp_path / 'ratings'}", f"x={tmp_path / 'preferences'}")
    command += (f"y={tmp_path / 'preferences'}",)
    table = json.loads(run(*command, "--json").stdout)
    assert table["systems"] == ["x", "y"]
    by_metric = {row["metric"]: row["values"] for row in table["rows"]}
    assert by_metric["win_rate"]["y"]["value"] == 0.25
    assert by_metric["mean_rating"]["y"] is None
    assert "was not measured" in run(*command).output
    assert run("score", "aspects", f"x={tmp_path}").exit_code == 1


def verdict(text: str) -> str:
    if "Answer A: " in text:
        first, second = (text.split(f"Answer {side}: ")[1].splitlines()[0] for side in "AB")
        return f"Winner: {'A' if len(first) > len(second) else 'B'}"
    answer = text.split("Answer to grade: ")[1].splitlines()[0]
    return "I can't tell" if answer == "?" else f"Score: {len(answer)}\nIts length."


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Says the length of the answer as its score, and the longer one of two as the winner."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    one = Server(lambda request: verdict(text_of(request)))
    yield one
    one.server.shutdown()
    one.server.server_close()


def text_of(request: Any) -> str:
    content = request["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Lengths 1 to 8, where 1 is the answer "?" that the judge can't grade."""
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    texts = ["?", *("x" * n for n in range(2, 9))]
    rows = [{"id": n, "question": "What?", "answer": text, "image": "a.png"} for n, text in enumerate(texts)]
    return lines(tmp_path / "answers.jsonl", rows)


def test_a_judge_is_asked_once_and_corrected_by_people(judge: Server, answers: Path, tmp_path: Path) -> None:
    judge.script = [(429, {}, 0), (200, None, 0)]
    # People give two points less than the judge to four of the seven answers that it can grade.
    labels = lines(tmp_path / "labels.jsonl", [{"item": n, "rater": "ann", "rating": n - 1} for n in range(1, 5)])
    command = ("score", "judge", "--pred", answers, "--endpoint", judge.url, "--model", "j", "--json")
    command += ("--cache", tmp_path / "replies.jsonl", "--labels", labels, "--out", tmp_path / "judged")
    found = values(run(*command))
    assert found["judge_score", None] == pytest.approx(sum(range(2, 9)) / 7)
    assert found["unparsed", None] == pytest.approx(1 / 8)
    assert found["calibrated", None] == pytest.approx((6 + 7 + 8) / 3 - 2)
    assert found["spearman_with_people", None] == pytest.approx(1)
    assert len(judge.seen) == 8 + 2
    assert judge.seen[0]["key"] == "Bearer secret"
    judge.script = [(500, {}, 0)] * 9
    replies = tmp_path / "replies.jsonl"
    assert values(run(*command)) == found, "though the server is down, the kept replies are enough"
    assert len(judge.seen) == 10
    replies.write_bytes(replies.read_bytes()[:-9])
    result = run(*command, "--tries", "1", "--timeout", "1")
    assert result.exit_code == 1, "the reply that a kill cut off is asked for again"
    assert "no reply in 1 tries" in result.output
    judge.script = [(200, {"choices": []}, 0)]
    assert "expected a chat completion" in run(*command).output
    assert values(run(*command)) == found


def test_a_slow_judge_is_given_up(judge: Server, answers: Path) -> None:
    judge.script = [(200, {}, 1.5)] * 8
    command = ("score", "judge", "--pred", answers, "--endpoint", judge.url, "--model", "j", "--cache", "")
    result = run(*command, "--tries", "1", "--timeout", "1")
    assert result.exit_code == 1
    assert "timed out" in result.output


def test_pairs_are_judged_in_both_orders(judge: Server, tmp_path: Path) -> None:
    rows = [
        {"id": n, "question": "What?", "first": "x" * first, "second": "xx", "description": "a cat"}
        for n, first in enumerate([3, 4, 1, 2])
    ]
    pairs = lines(tmp_path / "pairs.jsonl", rows)
    command = ("score", "judge", "--pred", pairs, "--endpoint", judge.url, "--model", "j", "--cache", "", "--json")
    found = values(run(*command, "--pairs", "ours,theirs"))
    # Two wins, a loss, and one of equal length that goes to whoever is second: a tie. (2 + 1 / 2) / 4.
    assert found == {("win_rate", None): 0.625, ("position_changed", None): 0.25, ("unparsed", None): 0}
    assert len(judge.seen) == 8
    for names in ("ours", "a,b,c"):
        assert run(*command, "--pairs", names).exit_code == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "b.png"}, "id '0'.*no picture"), ({"answer": 3}, "id '0'.*expected text"),
        ({"image": ""}, "'0' has neither picture nor description"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_judged_cost_nothing(
    judge: Server, answers: Path, tmp_path: Path, change: dict, message: str
) -> None:
    row = json.loads(answers.read_text().splitlines()[0]) | change
    bad = lines(tmp_path / "bad.jsonl", [json.loads(answers.read_text().splitlines()[1]), row])
    result = run("score", "judge", "--pred", bad, "--endpoint", judge.url, "--model", "j", "--cache", "")
    assert result.exit_code == 1
    assert re.search(message, " ".join(result.output.split())), result.output
    assert not judge.seen


def test_a_prompt_of_ones_own_and_wrong_settings(judge: Server, answers: Path, tmp_path: Path) -> None:
    command = ("score", "judge", "--pred", answers, "--model", "j", "--cache", "", "--endpoint")
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Look.{picture}{reference}\n{question} {low}-{high}\nAnswer to grade: {answer}\n")
    assert run(*command, judge.url, "--prompt", prompt).exit_code == 0
    prompt.write_text("Answer to grade: {answer}")
    assert "has no {picture}" in run(*command, judge.url, "--prompt", prompt).output
    assert "expected http" in run(*command, "localhost:8000").output
    assert "impossible scale 5 to 5" in run(*command, judge.url, "--scale", "5", "5").output
    labels = lines(tmp_path / "labels.jsonl", [{"item": "x", "rater": "ann", "rating": 1}])
    assert "'x'" in run(*command, judge.url, "--labels", labels).output


def test_vqascore_takes_either_way_alone() -> None:
    for arguments in ((), ("--pred", "a", "--model", "b"), ("--pairs", "a"), ("--model", "b")):
        assert run("score", "vqascore", *arguments).exit_code == 2
