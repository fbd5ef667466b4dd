"""Replies on disk, so that no question is paid for twice: append-only JSON lines that survive being killed."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chiasm.data.chat.endpoint import Ask, Reply
from chiasm.errors import DataError


class CachedEndpoint:
    """`ask`, but a request that was answered before, by content (model, prompt, picture bytes, decoding), is answered
    from the file at `path`.

    Each reply is on disk before it is used. A last line cut off by a kill is dropped and asked for again; any other
    damaged line is an error, for somebody edited it. Safe to call from several threads, not from several processes.
    """

    def __init__(self, ask: Ask, path: Path | str):
        self.ask, self.path = ask, Path(path)
        self._lock = threading.Lock()
        self._replies = self._load()

    def __call__(self, request: Mapping[str, Any]) -> Reply:
        key = request_key(request)
        with self._lock:
            known = self._replies.get(key)
        if known is not None:
            return known
        reply = self.ask(request)
        row = {"key": key, **asdict(reply)}
        line = json.dumps(row).encode() + b"\n"
        with self._lock:
            with open(self.path, "ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            self._replies[key] = reply
        return reply

    def _load(self) -> dict[str, Reply]:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return {}
        replies, whole = {}, 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    row = json.loads(line)
                    tokens = tuple((token, top) for token, top in row["tokens"])
                    replies[row["key"]] = Reply(row["text"], tokens, row["complete"], row.get("problem"))
                except (ValueError, KeyError, TypeError):
                    raise DataError(f"{self.path}, line {number}: not a cached reply; delete the line") from None
                whole += len(line)
        if whole < self.path.stat().st_size:
            os.truncate(self.path, whole)
        return replies


def request_key(request: Mapping[str, Any]) -> str:
    """SHA-256 of the request's content; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
