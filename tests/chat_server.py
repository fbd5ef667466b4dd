"""A chat endpoint on this machine, for tests of what happens over real HTTP."""

import contextlib
import json
import math
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def completion(text: Any, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "logprobs": logprobs}]}


class Server:
    """Says what `reply` makes of a request, except that its next answers are those of `script`.

    An entry is (status, answer, seconds). The answer is sent as JSON, or as it is where it is bytes; None hangs up. The
    seconds pass before it, and where it is a list of bytes, before each of them. `headers` go out with every answer.
    After `most_answers` it hangs up on everybody.
    """

    def __init__(self, reply: Callable[[Any], str] = lambda request: "Score: 5") -> None:
        self.script: list[tuple[int, Any, float]] = []
        self.headers: dict[str, str] = {}
        self.most_answers = math.inf
        self.seen: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.seen.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                    scripted = outer.script.pop(0) if outer.script else None
                status, answer, delay = scripted or (200, completion(reply(body)), 0.02)
                if not isinstance(answer, list):
                    time.sleep(delay)
                with lock:
                    outer.at_once -= 1
                if answer is None or len(outer.seen) > outer.most_answers:
                    return
                data = answer if isinstance(answer, bytes | list) else json.dumps(answer).encode()
                parts = data if isinstance(data, list) else [data]
                self.send_response(status)
                for header in outer.headers.items():
                    self.send_header(*header)
                self.send_header("Content-Length", str(sum(map(len, parts))))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has given up waiting
                    for part in parts:
                        if isinstance(data, list):
                            time.sleep(delay)
                        self.wfile.write(part)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
