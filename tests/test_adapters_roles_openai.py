"""A model behind a server in the pipeline's roles, over real HTTP: what is sent, what comes back, what goes wrong."""

import base64
import io
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import Server, completion
from PIL import Image

from chiasm.data.box_text import DIALECTS, codec
from chiasm.data.chat.endpoint import Endpoint, EndpointError, Reply
from chiasm.data.open import open_dataset
from chiasm.errors import ConfigError, ImageError
from chiasm.examine.run import examine
from chiasm.examine.run_folder import read_rows
from chiasm.models.adapters.openai import ChatModel, open_chat_model
from chiasm.tasks.vlm import open_pipeline
from chiasm.types import Answer, Box, Object

WIDE, TALL = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (50, 80), "blue")


def text_of(request: Any) -> str:
    return request["messages"][0]["content"][1]["text"]


def picture_of(request: Any) -> Image.Image:
    uri = request["messages"][0]["content"][0]["image_url"]["url"]
    assert uri.startswith("data:image/jpeg;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def echo(request: Any) -> str:
    """The width of the picture it was sent, and the first line of the prompt."""
    return f" {picture_of(request).width}: {text_of(request).splitlines()[0]}\n"


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(echo)
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_captions_and_answers_come_back_in_order(server: Server) -> None:
    model = open_chat_model(f"openai:{server.url}#org/model-7b")
    assert [a.text for a in model.caption([WIDE, TALL])] == [
        "200: Describe this picture in one sentence.",
        "50: Describe this picture in one sentence.",
    ]
    answers = model.answer([WIDE, TALL, WIDE], [["how many?", "where?"], [], ["{what}?"]])
    assert [[a.text for a in group] for group in answers] == [["200: how many?", "200: where?"], [], ["200: {what}?"]]
    assert answers[0][0].raw == " 200: how many?\n"
    for request in server.seen:
        assert (request["model"], request["temperature"], request["path"]) == (
            "org/model-7b",
            0,
            "/v1/chat/completions",
        )


def test_the_key_comes_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("secret", ""):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        open_chat_model(f"openai:{server.url}#m").caption([WIDE])
    monkeypatch.delenv("OPENAI_API_KEY")
    open_chat_model(f"openai:{server.url}#m").caption([WIDE])
    assert [request["key"] for request in server.seen] == ["Bearer secret", None, None]


def test_the_picture_travels_whole(server: Server) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    open_chat_model(f"openai:{server.url}#m").caption([Image.fromarray(pixels).resize((600, 400))])
    sent = picture_of(server.seen[0])
    assert sent.size == (600, 400)
    difference = np.abs(np.asarray(sent, int) - np.asarray(Image.fromarray(pixels).resize((600, 400)), int))
    assert difference.mean() < 2  # of 255: JPEG of the highest quality
    with pytest.raises(ImageError, match="70000x1"):
        open_chat_model(f"openai:{server.url}#m").caption([Image.new("RGB", (70_000, 1))])


def test_at_most_so_many_requests_at_once(server: Server) -> None:
    open_chat_model(f"openai:{server.url}#m?concurrency=3").answer([WIDE], [[f"{i}?" for i in range(12)]])
    assert len(server.seen) == 12
    assert 1 < server.most_at_once <= 3


def test_passing_troubles_are_tried_again_and_lasting_ones_told(server: Server) -> None:
    patient = ChatModel(Endpoint(server.url, timeout_s=0.3, first_wait_s=0.001), "m", concurrency=1)
    slow, drip = (200, completion("late"), 0.6), (200, [b" "] * 20, 0.1)
    server.script = [(429, {}, 0), (500, {}, 0), (200, None, 0), slow, (200, completion("at last"), 0)]
    assert patient.caption([WIDE])[0].text == "at last"
    assert len(server.seen) == 5
    server.script = [drip, (200, completion("at last"), 0)]
    assert patient.caption([WIDE])[0].text == "at last"
    impatient = ChatModel(Endpoint(server.url, timeout_s=0.3, tries=2, first_wait_s=0.001), "m")
    for script, message in (
        ([slow] * 2, "2 tries.*timed out"),
        ([drip] * 2, "2 tries.*longer than 0.3 s"),
        ([(500, {"error": "out of memory"}, 0)] * 2, "2 tries.*500.*out of memory"),
        ([(404, {"error": "no model m"}, 0)], "404.*no model m"),
        ([(200, b"<html>welcome</html>", 0)], "expected a chat completion.*welcome"),
        ([(200, {"choices": [{"message": {}}]}, 0)], "expected a chat completion"),
    ):
        server.script = list(script)
        with pytest.raises(EndpointError, match=message):
            impatient.caption([WIDE])
        assert not server.script


@pytest.mark.parametrize(
    ("answer", "text", "problem"),
    [
        (completion([{"type": "text", "text": "a "}, {"type": "text", "text": "cup"}]), "a cup", None),
        (completion([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "a cup"}]), "a cup", None),
        ({"choices": [{"message": {"content": "a cup", "reasoning_content": "It is round."}}]}, "a cup", None),
        ({"choices": [{"message": {"content": None, "reasoning_content": "It is"}}]}, "", "the model wrote nothing"),
        (
            {"choices": [{"message": {"content": None}, "finish_reason": "length"}]},
            "",
            "ran into the limit of 256 tokens",
        ),
        (completion(""), "", "the model wrote nothing"),
        ({"choices": [{"message": {"content": None, "refusal": "I can't say."}}]}, "", "refused: I can't say."),
        (
            {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]},
            "",
            "refused: content_filter",
        ),
        (completion("a cup", {"content": [{"token": "a", "logprob": -1.0}]}), "a cup", None),
    ],
)
def test_whatever_a_server_says_is_an_answer_or_a_problem(
    server: Server, answer: Any, text: str, problem: str | None, tmp_path: Path
) -> None:
    model = open_chat_model(f"openai:{server.url}#m?cache={tmp_path / 'replies.jsonl'}")
    server.script = [(200, answer, 0)]
    found = model.answer([WIDE], [["what is it?"]])[0][0]
    assert (found.text, found.problem) == (text, problem)
    again = open_chat_model(f"openai:{server.url}#m?cache={tmp_path / 'replies.jsonl'}")
    assert again.answer([WIDE], [["what is it?"]])[0][0] == found


def test_a_refusal_of_one_request_is_its_own_problem_and_of_all_an_error(server: Server) -> None:
    model = open_chat_model(f"openai:{server.url}#m?concurrency=1")
    code = {"error": {"code": "context_length_exceeded", "message": "too long"}}
    server.script = [(400, code, 0)]
    long, fine = model.answer([WIDE], [["what? " * 9000, "who?"]])[0]
    assert "too long" in (long.problem or "")
    assert (fine.text, fine.problem) == ("200: who?", None)
    server.script = [(400, {"error": {"code": None, "message": "no pictures here"}}, 0)]
    with pytest.raises(EndpointError, match=r"400.*no pictures here"):
        model.answer([WIDE], [["who?"]])


def test_the_key_is_shown_to_nobody(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    cache = tmp_path / "replies.jsonl"
    model = open_chat_model(f"openai:{server.url}#m?cache={cache}")
    model.caption([WIDE])
    assert server.seen[0]["key"] == "Bearer sk-secret"
    server.script = [(401, {"error": "sk-secret is no good"}, 0)]
    with pytest.raises(EndpointError, match=r"\(key\) is no good") as caught:
        model.caption([TALL])
    told = str(caught.value) + cache.read_text() + repr(Endpoint(server.url, "sk-secret")) + str(model.describe())
    assert "sk-secret" not in told
    # Somebody else's server would get it with the request that follows a redirection.
    elsewhere = Server()
    server.headers, server.script = {"Location": f"{elsewhere.url}/chat/completions"}, [(302, {}, 0)]
    with pytest.raises(EndpointError, match="302"):
        model.caption([TALL])
    assert not elsewhere.seen


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("0.5", 1, 1),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1, 1),
        ("soon", 1, 1),
        ("900", 60, 60),
        (None, 8, 10),
    ],
)
def test_it_waits_as_long_as_the_server_asks(
    server: Server, monkeypatch: pytest.MonkeyPatch, header: str | None, least: float, most: float
) -> None:
    """Seconds or a date, a minute at most; and a second where that is shorter, or says nothing."""
    waits: list[float] = []
    monkeypatch.setattr("chiasm.data.chat.endpoint.time.sleep", waits.append)
    in_ten_seconds = formatdate(time.time() + 10, usegmt=True)
    server.headers = {"Retry-After": in_ten_seconds if header is None else header}
    server.script = [(429, {}, 0), (200, completion("a cup"), 0)]
    assert Endpoint(server.url)({"messages": []}).text == "a cup"
    (wait,) = [wait for wait in waits if wait != 0]  # the server itself sleeps for nothing
    assert least <= wait <= most


def test_a_run_whose_server_dies_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """The rows are those of a run that nothing happened to, and no question is asked twice."""
    data = open_dataset("scenes:test?size=48")
    whole = Server(echo)
    examine(open_pipeline(f"openai:{whole.url}#m"), data, tmp_path / "whole", limit=4, batch=2, progress=False)
    dying = Server(echo)
    dying.most_answers = 14
    name = f"openai:{dying.url}#m?tries=1&concurrency=1&cache={tmp_path / 'replies.jsonl'}"
    with pytest.raises(EndpointError, match="1 tries"):
        examine(open_pipeline(name), data, tmp_path / "run", limit=4, batch=2, progress=False)
    back = Server(echo)
    again = name.replace(dying.url, back.url)
    examine(open_pipeline(again), data, tmp_path / "run", limit=4, batch=2, progress=False)
    assert read_rows(tmp_path / "run") == read_rows(tmp_path / "whole")
    assert dying.most_answers + len(back.seen) == len(whole.seen)


def test_a_second_run_asks_nothing_and_another_picture_prompt_or_model_does(server: Server, tmp_path: Path) -> None:
    def ask(model: str, image: Image.Image, question: str) -> list[list[Answer]]:
        name = f"openai:{server.url}#{model}?cache={tmp_path / 'replies.jsonl'}"
        return open_chat_model(name).answer([image], [[question]])

    first = ask("m", WIDE, "what?")
    assert ask("m", WIDE, "what?") == first
    assert len(server.seen) == 1
    for model, image, question in (("n", WIDE, "what?"), ("m", TALL, "what?"), ("m", WIDE, "who?")):
        ask(model, image, question)
    assert len(server.seen) == 4


def test_boxes_are_read_in_the_models_dialect() -> None:
    def ask(request: Any) -> Reply:
        assert "200 x 100" in text_of(request)
        return Reply('```json\n[{"bbox_2d": [0, 0, 500, 1000], "label": "a red cup"}]\n```')

    model = ChatModel(ask, "m", "qwen3-vl")  # fractions of 1000
    box = Box(0, 0, 100, 100)
    assert model.detect([WIDE])[0].objects == (Object("a red cup", box),)
    assert model.ground([WIDE], [["cup", "mug"]])[0][1].objects == (Object("mug", box),)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (Reply("I see a cup at the left."), "Qwen"),
        (Reply('[{"bbox_2d": [0, 0, 500'), "Qwen"),
        (Reply('[{"bbox_2d": [0, 0, 500, 1000]}]', complete=False), "limit of 2048 tokens"),
        (Reply("nothing"), "Qwen"),  # in this dialect it is written []
        (Reply("[]"), None),
    ],
)
def test_text_without_boxes_is_a_problem_and_never_a_guess(reply: Reply, problem: str | None) -> None:
    found = ChatModel(lambda request: reply, "m", "qwen3-vl").ground([WIDE], [["cup"]])[0][0]
    assert found.objects == ()
    assert found.raw == reply.text
    assert (found.problem is None) if problem is None else (problem in str(found.problem))


def test_a_cut_off_answer_says_so() -> None:
    cut = ChatModel(lambda request: Reply("The first of all", complete=False), "m").caption([WIDE])[0]
    assert cut.text == "The first of all"
    assert "limit of 256 tokens" in str(cut.problem)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_can_be_asked_for_and_its_own_example_read_back(dialect: str) -> None:
    """The prompt holds an example, so a model that copies it must be understood; so must one that finds nothing."""
    told: list[str] = []

    def copy(request: Any) -> Reply:
        told.append(text_of(request))
        return Reply(told[0].partition("are written: ")[2].partition(" If there is nothing")[0])

    found = ChatModel(copy, "m", dialect).detect([WIDE])[0]
    assert found.problem is None
    step = 200 / 24  # the coarsest dialect's
    for thing, left in zip(found.objects, (0, 100), strict=True):
        assert thing.box is not None
        assert np.allclose(thing.box.as_tuple(), (left, 0, left + 100, 100), atol=step)
    nothing = told[0].rpartition("write exactly this: ")[2]
    empty = ChatModel(lambda request: Reply(nothing), "m", dialect).detect([WIDE])[0]
    assert (empty.objects, empty.problem) == ((), None)
    assert codec(dialect, WIDE.size).encode([], WIDE.size) in (nothing, "")
    told.clear()
    assert ChatModel(copy, "m", dialect).ground([Image.new("RGB", (1, 1))], [["cup"]])[0][0].problem is None


def test_as_a_pipeline_it_finds_things_only_where_its_boxes_are_known(server: Server) -> None:
    talker = open_pipeline(f"openai:{server.url}#m")
    assert (talker.scene, talker.detector) == (None, None)
    assert talker.process(TALL, "how many?").to_dict() == {
        "scene_type": None, "caption": "50: Describe this picture in one sentence.", "objects": None,
        "answer": "50: how many?", "grounded": {}, "notice": None,
    }  # fmt: skip
    assert talker.describe()["prompts"]["caption"] == "Describe this picture in one sentence."
    assert open_pipeline(f"openai:{server.url}#m?boxes=gemini").detector is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:http://localhost/v1", "expected openai:URL#MODEL"),
        ("openai:#m", "expected openai:URL#MODEL"),
        ("openai:localhost:8000/v1#m", "expected http://"),
        ("openai:http://localhost/v1#m?boxes=qwen4-vl", "did you mean 'qwen"),
        ("openai:http://localhost/v1#m?timout=3", "did you mean 'timeout'"),
        ("openai:http://localhost/v1#m?timeout=soon", "not a whole number"),
        ("openai:http://localhost/v1#m?timeout=0", "at least 1"),
        ("openai:http://localhost/v1#m?concurrency=0", "at least 1"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_chat_model(name)


def test_a_model_without_a_dialect_is_not_asked_for_boxes() -> None:
    with pytest.raises(ConfigError, match=r"\?boxes=DIALECT"):
        ChatModel(lambda request: Reply(""), "m").detect([WIDE])
