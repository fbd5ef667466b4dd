"""Training in processes of its own: killed, interrupted, shared out over several, and always the same weights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from tiny_training import log, one_thread, tiny_recipe  # noqa: F401
from torch import nn

from chiasm.models.checkpoint import read_tensors
from chiasm.training.distributed import processes, sum_gradients, sum_values
from chiasm.training.recipe import Recipe, train

SCRIPT = Path(__file__).with_name("tiny_training.py")


@pytest.fixture(scope="module")
def server() -> Any:
    """A fork server that has everything imported, so that a process starts at once."""
    context = get_context("forkserver")
    # torch.optim imports torch._dynamo when the first optimizer is made.
    slow = ["torch._dynamo", "matplotlib.figure", "chiasm.training.recipe", "chiasm.data.worlds.scenes"]
    context.set_forkserver_preload(slow)
    return context


def run(process: BaseProcess) -> int:
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def _follow(recipe: Recipe, folder: Path, environment: dict[str, str], die_at: int | None) -> None:
    """Train; with `die_at`, as kill -9 does at the n-th time that a file or folder below `folder` is touched."""
    torch.set_num_threads(1)
    os.environ.update(environment)
    if die_at is not None:
        touched = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal touched
            removes = event in ("os.remove", "os.rmdir")  # rmtree names files by their folder's descriptor
            writes = event in ("open", "os.mkdir", "os.rename", "os.truncate", "os.chmod")
            if removes or (writes and str(folder) in str(arguments[0])):
                touched += 1
                if touched >= die_at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
    train(recipe, folder)


def assert_same_training(folder: Path, expected: Path, recipe: Recipe) -> None:
    for stage in recipe.stages:
        assert log(folder / stage.name) == log(expected / stage.name)
        assert [row["step"] for row in log(folder / stage.name)] == list(range(1, stage.steps + 1))
    assert (folder / "loss.svg").is_file()
    assert (folder / "tokenizer.json").read_bytes() == (expected / "tokenizer.json").read_bytes()
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (folder / "model" / name).read_bytes() == (expected / "model" / name).read_bytes(), name


@pytest.fixture(scope="module")
def finished(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert run(server.Process(target=_follow, args=(tiny_recipe(), folder, {}, None))) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_and_nothing_is_lost(server: Any, finished: Path, tmp_path: Path, seed: int) -> None:
    """kill -9 at every kind of moment at which the disk is touched: while the recipe, the tokenizer, features, logs,
    states and checkpoints are written, replaced and removed."""
    random, kills = Random(seed), 0
    while True:
        status = run(server.Process(target=_follow, args=(tiny_recipe(), tmp_path, {}, random.randint(1, 25))))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
        assert kills < 200, "no progress"
    assert kills >= 5
    assert_same_training(tmp_path, finished, tiny_recipe())


@pytest.mark.slow
def test_killed_at_any_time(server: Any, finished: Path, tmp_path: Path) -> None:
    """By the clock, so also in the middle of a step."""
    random, kills = Random(0), 0
    while True:
        process = server.Process(target=_follow, args=(tiny_recipe(), tmp_path, {}, None))
        process.start()
        process.join(random.uniform(0.05, 0.3) * (1 + kills / 4))
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
    assert process.exitcode == 0
    assert kills >= 2
    assert_same_training(tmp_path, finished, tiny_recipe())


# Several processes as one


@pytest.fixture
def rendezvous() -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}


def _sum_two(rank: int, environment: dict[str, str]) -> None:
    torch.set_num_threads(1)
    os.environ.update(environment, RANK=str(rank))
    with processes() as (number, world):
        assert (number, world) == (rank, 2)
        assert sum_values({"a": 1.5, "b": rank}) == {"a": 3.0, "b": 1.0}
        both, one, none = (nn.Parameter(torch.ones(2, 2)) for _ in range(3))
        both.grad = torch.full((2, 2), 1.0 + rank)
        if rank:
            one.grad = torch.full((2, 2), 5.0)
        sum_gradients([both, one, none])
        for parameter, total in ((both, 3.0), (one, 5.0), (none, 0.0)):
            assert parameter.grad is not None
            assert parameter.grad.tolist() == [[total] * 2] * 2


def test_gradients_add_up_over_processes(server: Any, rendezvous: dict[str, str]) -> None:
    both = [server.Process(target=_sum_two, args=(rank, rendezvous)) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]


def test_one_process_sums_nothing() -> None:
    parameter = nn.Parameter(torch.ones(2))
    sum_gradients([parameter])
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [0, 0]
    assert sum_values({"a": 2.0}) == {"a": 2.0}


def close_to(folder: Path, expected: Path) -> None:
    one, other = (read_tensors(f / "model" / "model.safetensors") for f in (folder, expected))
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-6, msg=name)


def in_fp32(recipe: Recipe, micro_batch: int) -> Recipe:
    return replace(recipe, stages=tuple(replace(s, precision="fp32", micro_batch=micro_batch) for s in recipe.stages))


@pytest.mark.slow
def test_torchrun_trains_the_model_of_one_process(server: Any, tmp_path: Path) -> None:
    """Two micro-batches a step, one for each process, so that even the order of additions is the same."""
    settings = [
        f"{stage}.{setting}" for stage in ("see", "align", "tune") for setting in ("micro_batch=2", "precision=fp32")
    ]
    alone = run(server.Process(target=_follow, args=(in_fp32(tiny_recipe(), 2), tmp_path / "one", {}, None)))
    assert alone == 0
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(SCRIPT)]
    subprocess.run(
        [sys.executable, *command, "train", "tiny", "--out", str(tmp_path / "two"), *settings], check=True, timeout=300
    )
    close_to(tmp_path / "two", tmp_path / "one")
    for stage in ("see", "align", "tune"):
        for row, expected in zip(log(tmp_path / "two" / stage), log(tmp_path / "one" / stage), strict=True):
            assert row == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_more_processes_than_micro_batches(
    server: Any, finished: Path, rendezvous: dict[str, str], tmp_path: Path
) -> None:
    recipe = in_fp32(tiny_recipe(), 4)
    assert run(server.Process(target=_follow, args=(recipe, tmp_path / "one", {}, None))) == 0
    both = [
        server.Process(target=_follow, args=(recipe, tmp_path / "two", {**rendezvous, "RANK": str(rank)}, None))
        for rank in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    close_to(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
def test_ctrl_c_at_the_command_line(finished: Path, tmp_path: Path) -> None:
    """Exit code 130 and one sentence; the same command then goes on to the same weights."""
    command = [sys.executable, str(SCRIPT), "train", "tiny", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    log_file = tmp_path / "see" / "log.jsonl"
    while process.poll() is None and not (log_file.exists() and log_file.read_bytes().count(b"\n") >= 2):
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "chiasm: stopped; the same command of train, examine or probe extract goes on from here"
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    assert_same_training(tmp_path, finished, tiny_recipe())
