"""An OpenAI-compatible chat endpoint, by the standard library alone."""

from __future__ import annotations

import base64
import http.client
import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from PIL import Image

from chiasm.errors import ChiasmError, ConfigError, ImageError

T = TypeVar("T")

_WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
_ABOUT_THIS_REQUEST = ("content_filter", "content_policy_violation", "context_length_exceeded")
"""Codes of refusals that say nothing about the next request."""
_LONGEST_WAIT_S = 60.0


class EndpointError(ChiasmError):
    """An endpoint that refused a request, gave no usable reply, or did not answer in all its tries."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote.

    `tokens` are its tokens in order, each with the likeliest ones there, itself included, and their natural
    log-probabilities; empty where the endpoint gives none. `complete` is False where it ran into `max_tokens`.
    `problem` says why there is no text: a refusal, a filter, or a model that wrote nothing.
    """

    text: str
    tokens: tuple[tuple[str, Mapping[str, float]], ...] = ()
    complete: bool = True
    problem: str | None = None


Ask = Callable[[Mapping[str, Any]], Reply]


def jpeg(picture: Image.Image) -> bytes:
    """An RGB picture as JPEG of the highest usual quality. Raises ImageError for one too long for that format."""
    if max(picture.size) > 65_500:
        raise ImageError(f"a picture of {picture.width}x{picture.height} pixels is too long to be sent as JPEG")
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def user_message(text: str, images: Sequence[bytes] = ()) -> dict[str, Any]:
    """A user's message of pictures (encoded files, PNG or JPEG) and then text."""
    if not images:
        return {"role": "user", "content": text}
    pictures = [{"type": "image_url", "image_url": {"url": _data_uri(image)}} for image in images]
    return {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Call it with a request, the JSON body of ``POST {url}/chat/completions``, for a `Reply`.

    `url` ends in /v1 as a rule. `timeout_s` is for one try; after a refusal that may pass (429, 5xx) or a broken
    connection it tries again up to `tries` times, waiting twice as long each time or as long as the server asks.
    Redirections are not followed, so that the key goes nowhere else. A request that is refused for what it holds
    (filtered, too long) gives a reply with a `problem`. Raises EndpointError with the server's own words otherwise, and
    ConfigError for a `url` that is no web address.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    tries: int = 5
    first_wait_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"the endpoint's url is {self.url!r}, expected http://... or https://...")

    def __call__(self, request: Mapping[str, Any]) -> Reply:
        wait = self.first_wait_s
        for attempt in range(1, self.tries + 1):
            try:
                return _reply(self._post(request))
            except urllib.error.HTTPError as error:
                body = error.read()
                said = body[:500].decode("utf-8", "replace")
                reason = f"{error.code}: {said.replace(self.key, '(key)') if self.key else said}"
                if _error_code(body) in _ABOUT_THIS_REQUEST:
                    return Reply("", problem=f"refused, {reason}")
                if error.code not in _WORTH_ANOTHER_TRY:
                    raise EndpointError(f"{self.url} refused the request, {reason}") from None
                wait = max(wait, _seconds(error.headers.get("Retry-After", "")))
            except (OSError, http.client.HTTPException) as error:  # broken, refused or timed-out connections
                reason = str(error) or type(error).__name__
            if attempt < self.tries:
                time.sleep(min(wait, _LONGEST_WAIT_S))
                wait *= 2
        raise EndpointError(f"{self.url} gave no reply in {self.tries} tries; the last failed with {reason}")

    def _post(self, request: Mapping[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        data = json.dumps(request).encode()
        post = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", data, headers)
        deadline = time.monotonic() + self.timeout_s
        body = b""
        with _OPENER.open(post, timeout=self.timeout_s) as response:
            # The socket's own timeout starts again with every byte, so a server that drips would hold us for ever.
            while part := response.read1():
                body += part
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the reply took longer than {self.timeout_s:g} s")
        return body


def in_parallel(ask: Callable[[T], Reply], questions: Sequence[T], concurrency: int) -> list[Reply]:
    """Replies in the order of the questions. An error is raised when its turn comes, and stops those not yet begun."""
    with ThreadPoolExecutor(concurrency) as pool:
        return list(pool.map(ask, questions))


def _reply(body: bytes) -> Reply:
    try:
        choice = json.loads(body)["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        refusal = message.get("refusal")
        text = _text(message["content"] if refusal is None else message.get("content"))
        content = (choice.get("logprobs") or {}).get("content") or []
        tokens = tuple(
            (entry["token"], {one["token"]: one["logprob"] for one in (entry, *(entry.get("top_logprobs") or ()))})
            for entry in content
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise EndpointError(f"expected a chat completion, got {body[:200].decode('utf-8', 'replace')!r}") from None
    problem = None
    if refusal is not None or finish == "content_filter":
        problem = f"refused: {refusal or finish}"
    elif not text.strip() and finish != "length":
        problem = "the model wrote nothing"
    return Reply(text, tokens, complete=finish != "length", problem=problem)


def _text(content: Any) -> str:
    """A message's content: text, a list of parts, or None where a model thought, but wrote nothing for its reader."""
    parts = [{"text": content}] if content is None or isinstance(content, str) else content
    return "".join(part["text"] or "" for part in parts if part.get("type", "text") == "text")


def _error_code(body: bytes) -> Any:
    """The code of an OpenAI error object; None for anything else."""
    try:
        return json.loads(body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None


def _seconds(retry_after: str) -> float:
    """A Retry-After header, seconds or a date, as seconds from now; 0 for none."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(retry_after).timestamp() - time.time()
    except ValueError:
        return 0.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _data_uri(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
