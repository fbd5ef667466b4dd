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
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from chiasm.errors import ChiasmError, ConfigError, ImageError

T = TypeVar("T")

_WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 60.0


class EndpointError(ChiasmError):
    """An endpoint that refused a request, gave no usable reply, or did not answer in all its tries."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote.

    `tokens` are its tokens in order, each with the likeliest ones there, itself included, and their natural
    log-probabilities; empty where the endpoint gives none. `complete` is False where it ran into `max_tokens`.
    """

    text: str
    tokens: tuple[tuple[str, Mapping[str, float]], ...] = ()
    complete: bool = True


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
    Raises EndpointError with the server's own words otherwise, and ConfigError for a `url` that is no web address.
    """

    url: str
    key: str | None = None
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
                reason = f"{error.code}: {error.read(500).decode('utf-8', 'replace')}"
                if error.code not in _WORTH_ANOTHER_TRY:
                    raise EndpointError(f"{self.url} refused the request, {reason}") from None
                asked = error.headers.get("Retry-After", "")
                wait = max(wait, float(asked)) if asked.isdigit() else wait
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
        with urllib.request.urlopen(post, timeout=self.timeout_s) as response:
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
        text = choice["message"]["content"]
        content = (choice.get("logprobs") or {}).get("content") or []
        tokens = tuple(
            (entry["token"], {one["token"]: one["logprob"] for one in (entry, *entry["top_logprobs"])})
            for entry in content
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise EndpointError(f"expected a chat completion, got {body[:200].decode('utf-8', 'replace')!r}") from None
    if not isinstance(text, str):
        raise EndpointError("the reply holds no text; a model has to answer in words")
    return Reply(text, tokens, complete=choice.get("finish_reason") != "length")


def _data_uri(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
