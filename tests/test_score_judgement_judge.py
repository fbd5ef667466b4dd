"""Models as judges: verdicts, cached replies, and an endpoint that misbehaves."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Server, completion

from chiasm.data.chat.cache import CachedEndpoint, request_key
from chiasm.data.chat.endpoint import Endpoint, EndpointError, Reply, user_message
from chiasm.errors import ConfigError, DataError, ParseError
from chiasm.score.judgement.judge import Judged, Judging, filled, score_with_judge
from chiasm.score.judgement.judged_pairs import PAIR_PROMPT, JudgedPair, judge_pairs
from chiasm.score.judgement.verdicts import parse_score, parse_winner, smoothed_score

HOW = Judging("judge-1")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 7\nGood.", 7), ("**Score:** 7/10", 7), ("The score is 7.5", 7.5), ("7", 7), ("7.\nBecause 3 cats.", 7),
        ("Rating: 7 out of 10. So score: 7 out of 10", 7), ("score = 10", 10),
    ],
)  # fmt: skip
def test_scores_are_read(text: str, score: float) -> None:
    value, where = parse_score(text, 1, 10)
    assert value == score
    assert float(text[where]) == score


@pytest.mark.parametrize(
    "text",
    [
        "", "good", "7 people are here", "Score: 11", "Score: -3", "Score: 7/5", "Score: 3 or rather score: 8",
        "Score: 7-8", "Score: 4,5", "Score: n/a", "I would not give a score above 5.", "underscore 7",
    ],
)  # fmt: skip
def test_what_is_no_score_is_never_guessed(text: str) -> None:
    with pytest.raises(ParseError):
        parse_score(text, 1, 10)


@pytest.mark.parametrize(
    ("text", "winner"),
    [("Winner: A\nB is short.", "A"), ("**Winner: tie**", "tie"), ("b.", "B"), ("The winner is B", "B")],
)
def test_winners_are_read(text: str, winner: str) -> None:
    assert parse_winner(text) == winner


@pytest.mark.parametrize("text", ["", "A dog is there.", "Winner: A. Winner: B", "Winner: both", "Winner: Answer A"])
def test_what_is_no_winner_is_never_guessed(text: str) -> None:
    with pytest.raises(ParseError):
        parse_winner(text)


def reply(*tokens: tuple[str, dict[str, float]]) -> Reply:
    """Alternatives as probabilities."""
    return Reply(
        "".join(token for token, _ in tokens),
        tuple((token, {t: math.log(p) for t, p in top.items()}) for token, top in tokens),
    )


def test_smoothing_of_a_number_that_is_one_token() -> None:
    said = reply(("Score", {}), (":", {}), (" 4", {" 4": 0.5, "5": 0.2, " 5": 0.1, " 9": 0.1, " x": 0.1}))
    # On the scale 1 to 5: (4 * .5 + 5 * .3) / .8.
    assert smoothed_score(said, 1, 5) == (pytest.approx(3.5 / 0.8), "smoothed by token")


def test_smoothing_digit_by_digit() -> None:
    said = reply(("Score: ", {}), ("0", {"0": 0.9, "1": 0.1}), (".", {".": 1.0}), ("8", {"8": 0.5, "6": 0.5}))
    # 0.1 for the ones and 7 for the tenths.
    assert smoothed_score(said, 0, 1) == (pytest.approx(0.1 + 0.7), "smoothed by digit")


def test_without_matching_tokens_the_written_score_stays() -> None:
    assert smoothed_score(Reply("Score: 4"), 1, 5) == (4, "as written")
    assert smoothed_score(Reply("Score: 4", (("Score: 3", {}),)), 1, 5) == (4, "as written")
    assert smoothed_score(reply(("Score: 4\n", {"Score: 4\n": 1.0})), 1, 5) == (4, "as written")


def test_the_prompt_is_filled_once() -> None:
    assert filled("{a}-{b}-{a}", {"a": "{b}", "b": "x{a}"}) == "{b}-x{a}-{b}"
    with pytest.raises(ConfigError, match=r"\{c\}"):
        filled("{a}", {"a": "", "c": ""})


def answers(n: int) -> list[Judged]:
    return [Judged(f"q{i}", "What is it?", f"answer {i}", description="a cat", ability="naming") for i in range(n)]


def test_an_unparsed_verdict_is_counted_not_filled() -> None:
    def ask(request: Mapping[str, Any]) -> Reply:
        return Reply("I'd rather not" if "answer 0" in request["messages"][0]["content"] else "Score: 6")

    score = score_with_judge(ask, answers(6), HOW)
    values = {(v.metric, v.slice): v for v in score.values}
    assert values["judge_score", None].value == 6
    assert values["judge_score", None].n == 5
    assert values["unparsed", ("ability", "naming")].value == pytest.approx(1 / 6)
    assert score.items[0].parsed is None
    assert score.items[0].problem == "no score"
    assert "5.17 or 6.67" in score.notes[0]  # (30 + 1) / 6 and (30 + 10) / 6
    with pytest.raises(DataError, match="more than once"):
        score_with_judge(ask, answers(2) * 2, HOW)
    with pytest.raises(DataError, match="blindly"):
        score_with_judge(ask, [Judged("q", "?", "a")], HOW)


def test_a_pair_is_judged_in_both_orders() -> None:
    def prefers(how: Callable[[str, str], str]) -> dict[str, float | None]:
        def ask(request: Mapping[str, Any]) -> Reply:
            said = request["messages"][0]["content"]
            return Reply(f"Winner: {how(*(said.split(f'Answer {side}: ')[1].splitlines()[0] for side in 'AB'))}")

        pairs = [JudgedPair(f"q{i}", "?", "long answer", "short", description="a cat") for i in range(4)]
        found = judge_pairs(ask, pairs, Judging("j", prompt=PAIR_PROMPT), ("x", "y"))
        winners.append({item.parsed for item in found.items})
        return {v.metric: v.value for v in found.values}

    winners: list[set[str | None]] = []
    by_content = prefers(lambda a, b: "A" if len(a) > len(b) else "B")
    by_position = prefers(lambda a, b: "A")
    unsure = prefers(lambda a, b: "unclear")
    assert by_content == {"win_rate": 1, "position_changed": 0, "unparsed": 0}
    assert by_position == {"win_rate": 0.5, "position_changed": 1, "unparsed": 0}
    assert unsure == {"win_rate": None, "position_changed": None, "unparsed": 1}
    assert winners == [{"x"}, {"tie"}, {None}]
    with pytest.raises(ConfigError, match=r"\{a\}"):
        judge_pairs(lambda request: Reply("A"), [JudgedPair("q", "?", "1", "2", description="d")], HOW, ("x", "y"))


def test_the_cache_outlives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path, asked = tmp_path / "run" / "replies.jsonl", []

    def ask(request: Mapping[str, Any]) -> Reply:
        asked.append(request["n"])
        return Reply(f"reply\u2028 {request['n']}", (("5", {"5": -0.1}),))

    first = [CachedEndpoint(ask, path)({"n": n, "m": 0}) for n in range(3)]
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    again = CachedEndpoint(ask, path)
    assert [again({"m": 0, "n": n}) for n in range(3)] == first
    assert asked == [0, 1, 2, 2]
    assert path.read_bytes() == whole
    path.write_bytes(b"{}\n" + whole)
    with pytest.raises(DataError, match="line 1"):
        CachedEndpoint(ask, path)


def test_a_killed_process_loses_no_reply_that_it_used(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    program = (
        "import itertools\n"
        "from chiasm.data.chat.cache import CachedEndpoint\n"
        "from chiasm.data.chat.endpoint import Reply\n"
        f"ask = CachedEndpoint(lambda request: Reply('x' * 5000), {str(path)!r})\n"
        "for n in itertools.count():\n"
        "    ask({'n': n})\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        used = [int(process.stdout.readline()) for _ in range(20)]
        process.kill()
        used += [int(line) for line in process.stdout if line.endswith("\n")]

    def ask_again(request: Mapping[str, Any]) -> Reply:
        raise AssertionError(f"{request} was paid for already")

    again = CachedEndpoint(ask_again, path)
    assert all(again({"n": n}).text == "x" * 5000 for n in used)


def test_the_key_knows_picture_prompt_and_decoding() -> None:
    def key(text: str = "t", picture: bytes = b"1", model: str = "m", **decoding: Any) -> str:
        return request_key({"model": model, "messages": [user_message(text, [picture])], **decoding})

    assert key() == key()
    assert len({key(), key("u"), key(picture=b"2"), key(model="n"), key(seed=1)}) == 5


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_request_and_its_reply(server: Server) -> None:
    top = [{"token": "4", "logprob": -2.0}]
    server.script = [(200, completion("5", {"content": [{"token": "5", "logprob": -0.2, "top_logprobs": top}]}), 0)]
    request = HOW.request("Grade.", np.zeros((4, 6, 3), np.uint8))
    assert Endpoint(server.url, key="secret")(request) == Reply("5", (("5", {"5": -0.2, "4": -2.0}),))
    seen = server.seen[0]
    assert (seen["path"], seen["key"], seen["model"]) == ("/v1/chat/completions", "Bearer secret", "judge-1")
    assert seen["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_passing_troubles_are_tried_again(server: Server) -> None:
    server.script = [(429, {}, 0), (503, {}, 0), (200, None, 0), (200, completion("late"), 0.5)]
    assert Endpoint(server.url, timeout_s=0.2, first_wait_s=0.001)({"model": "m"}).text == "Score: 5"
    assert len(server.seen) == 5


def test_lasting_troubles_are_told_with_the_servers_words(server: Server) -> None:
    server.script = [(400, {"error": "no such model"}, 0), (200, {"choices": []}, 0)]
    ask = Endpoint(server.url, tries=2, first_wait_s=0.001)
    for message in ("400.*no such model", "expected a chat completion"):
        with pytest.raises(EndpointError, match=message):
            ask({"model": "m"})
    assert len(server.seen) == 2
    server.script = [(500, {}, 0)] * 2
    with pytest.raises(EndpointError, match=r"2 tries.*500"):
        ask({"model": "m"})
    with pytest.raises(EndpointError, match="2 tries"):
        Endpoint("http://127.0.0.1:9", tries=2, first_wait_s=0.001)({"model": "m"})
    with pytest.raises(ConfigError, match="http"):
        Endpoint("file:///etc/hostname")


def test_a_run_over_http_asks_once_and_not_too_much_at_once(server: Server, tmp_path: Path) -> None:
    how = Judging("judge-1", concurrency=3)
    scores = [
        score_with_judge(CachedEndpoint(Endpoint(server.url), tmp_path / "replies.jsonl"), answers(12), how)
        for _ in range(2)
    ]
    assert scores[0] == scores[1]
    assert scores[0].values[0].value == 5
    assert len(server.seen) == 12
    assert server.most_at_once <= 3


def test_an_error_keeps_the_replies_that_were_paid_for(server: Server, tmp_path: Path) -> None:
    server.script = [(200, completion("Score: 5"), 0)] * 3 + [(401, {"error": "key"}, 0)]
    path = tmp_path / "replies.jsonl"
    with pytest.raises(EndpointError, match="401"):
        score_with_judge(CachedEndpoint(Endpoint(server.url), path), answers(40), Judging("judge-1", concurrency=1))
    # Three before the error, and what was under way when it came.
    assert 3 <= len(path.read_text().splitlines()) <= 5
