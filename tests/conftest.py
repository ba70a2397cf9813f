"""Settings that every test shares; set before JAX is imported."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Two virtual devices on the CPU, so that the sharded paths run everywhere.
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2".strip()
os.environ.setdefault("WANDB_MODE", "disabled")

# The same tree gets the same answer: cases are drawn from each test's own name. `make explore` draws new ones.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("default" if os.environ.get("BOOKSWARM_EXPLORE") else "repeatable")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Recorded market data, or a skip that says how to get it."""
    from market_models.datasets import find_data

    found = find_data()
    if found is None:
        pytest.skip("recorded data not found: set BOOKSWARM_DATA to its directory, or put it under ./data")
    return found


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a BOOKSWARM_HOME of its own."""
    path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("BOOKSWARM_HOME", str(path))
    return path


@pytest.fixture
def with_nvrtc() -> None:
    """Skip without the compiler of CUDA C, with the sentence that says how to get it."""
    from kernels.lob.cuda import nvrtc
    from kernels.lob.cuda.errors import CudaMissingError

    try:
        nvrtc.version()
    except CudaMissingError as error:
        pytest.skip(str(error))
