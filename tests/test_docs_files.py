"""docs/files.md: the smallest files of every score give what the page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chiasm.cli.app import app

PAGE = (Path(__file__).parents[1] / "docs" / "files.md").read_text("utf-8")
SECTIONS = {title: body for title, body in re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)}
FILE = re.compile(r"^```(json|text|python) (.+?)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SESSION = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
METRIC = re.compile(r"(.+?)(?:\[(.+)=(.+)\])? (\S+)")


@pytest.mark.parametrize("title", SECTIONS)
def test_the_files_of_a_task(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for language, names, content in FILE.findall(SECTIONS[title]):
        for name in names.split():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
        if language == "python":
            exec(compile(content, names, "exec"), {})
        else:
            Path(names).write_text(content, "utf-8")
    found: dict[tuple[str, str | None, str | None], float] = {}
    for line in "\n".join(SESSION.findall(SECTIONS[title])).splitlines():
        if line.startswith("$ chiasm "):
            result = CliRunner().invoke(app, [*shlex.split(line.removeprefix("$ chiasm ")), "--json"])
            assert result.exit_code == 0, result.output
            found = {
                (value["metric"], *next(iter((value["slice"] or {None: None}).items()))): value["value"]
                for value in json.loads(result.stdout).get("metrics", [])
            }
        else:
            metric, key, label, number = METRIC.fullmatch(line).groups()  # type: ignore[union-attr]
            assert found[metric, key, label] == pytest.approx(float(number), abs=6e-5), line


def test_every_task_has_its_files() -> None:
    listed = CliRunner().invoke(app, ["score", "--help"]).stdout
    tasks = set(re.findall(r"^│ ([a-z][a-z0-9-]*)  ", listed, re.MULTILINE))
    described = {name for title in SECTIONS for name in re.findall(r"`(.*?)`", title)}
    assert described == tasks
