"""Without a GPU, commands that ask for the CUDA backend end with code 3 and a sentence that says what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import cli
from experiments.bench_engine import bench_engine
from kernels.lob.cuda.driver import Driver
from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.spec import LobConfig
from market_models.registry import get_flow
from sim import replay_backends
from sim.engine import api
from sim.engine.types import MarketConfig

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, **environment):
    command = [sys.executable, "-m", "experiments", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(autouse=True)
def _without_gpu():
    try:
        Driver()
    except CudaMissingError:
        return
    pytest.skip("this machine has a GPU: tests/gpu says what the backend does there")


@pytest.mark.parametrize(
    "call",
    [
        lambda path: api.make_process(LobConfig(), "cuda"),
        lambda path: api.make_market_step(MarketConfig(), get_flow("replay"), "cuda"),
        lambda path: replay_backends.make_tracer("cuda", LobConfig()),
        lambda path: bench_engine(path, 2, "cuda"),
    ],
)
def test_the_backend_says_what_is_missing(call, tmp_path):
    path = tmp_path / "stream.npz"
    np.savez(path, msgs=np.zeros(1))
    with pytest.raises(CudaMissingError, match=r"no CUDA device: .*--backend cpu") as raised:
        call(path)
    assert cli.exit_code(raised.value) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", "{path}", "--backend", "cuda"),
        ("bench", "engine", "--stream", "{path}", "--backend", "cuda"),
        ("bench", "env", "--backend", "cuda"),
        ("train", "quickstart", "--out", "{path}.run", "--set", "market.backend=cuda"),
    ],
)
def test_commands_end_with_3_and_the_sentence(arguments, tmp_path):
    path = tmp_path / "stream.npz"
    np.savez(path, msgs=np.zeros(1))
    done = run(*(argument.format(path=path) for argument in arguments), BOOKSWARM_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("no CUDA device") == 1 and "Traceback" not in done.stderr


def test_the_doctor_says_what_is_missing_and_whether_the_kernels_compile(tmp_path):
    done = run("doctor", "--json", BOOKSWARM_HOME=str(tmp_path))
    assert "no CUDA device" in json.loads(done.stdout)["backends"]["cuda"]
