"""`bookswarm doctor`: what this machine has."""

import importlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import typer

from experiments.commands.options import Json, Quiet, Seed
from experiments.console import CommandFailed, Output


def register(app: typer.Typer) -> None:
    """Attach the command."""
    app.command()(doctor)


def doctor(json_mode: Json = False, quiet: Quiet = False, seed: Seed = None) -> None:
    """Show what this machine has: versions, devices, backends, database, data.

    Example: bookswarm doctor --json
    """
    from experiments.runtime import configure_jax, usable_cores

    out = Output(json_mode, quiet)
    configure_jax()
    result: dict[str, Any] = {"python": platform.python_version()}
    result["jax"], result["devices"] = _jax()
    result["backends"] = {name: _backend(name) for name in ("oracle", "xla", "cpu", "cuda")}
    result["clickhouse"] = _version("chdb")
    result["wandb"] = _version("wandb")
    result["clock_offset_ms"] = clock_offset_ms()
    result["cores"] = usable_cores()
    result["data"] = _data()
    out.result(result)
    if not all(result["backends"][name] == "ok" for name in ("oracle", "xla", "cpu")):
        raise CommandFailed(3, "a backend that every machine should have is missing; run 'make setup' and look above")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _jax() -> tuple[str | None, list[str]]:
    try:
        import jax
    except ImportError:
        return None, []
    return jax.__version__, [f"{device.platform}:{device.id} {device.device_kind}" for device in jax.devices()]


def _backend(name: str) -> str:
    """Run one message through a backend; 'ok', or why not."""
    if name == "cuda" and (missing := _missing_for_cuda()):
        return missing
    try:
        import numpy as np

        from kernels.lob.spec import BUY, LIMIT, LobConfig, empty_book

        config = LobConfig(capacity=64, max_fills=4)
        message = np.array([[LIMIT, BUY, 3, 100, 1, 0, 0, 0]], np.int32)
        if name == "oracle":
            from kernels.lob.host import HostBook

            reason = HostBook(config, "oracle").apply(message).reason
        else:
            import jax

            from sim.engine import api

            _, result = jax.jit(api.make_process(config, name))(empty_book(config), message, np.int32(0))
            reason = np.asarray(result.reason)
        return "ok" if int(reason[0]) == 0 else f"refused a plain order with reason {int(reason[0])}"
    except Exception as error:  # the doctor reports whatever is wrong instead of dying of it
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _missing_for_cuda() -> str:
    """Return what the CUDA backend lacks here, "" if nothing; without a GPU its kernels can still be compiled."""
    try:
        from kernels.lob.cuda import nvrtc
        from kernels.lob.cuda.errors import CudaMissingError
        from sim.engine import cuda
    except ImportError as error:
        return f"component missing: {error.name}"
    missing, compiler = [], ""
    try:
        compiler = " (its kernels compile here: NVRTC {}.{})".format(*nvrtc.version())
    except CudaMissingError as error:
        missing.append(str(error))
    try:
        cuda.check_available()
    except CudaMissingError as error:
        missing.append(f"{error}{compiler}")
    return "; ".join(missing)


def clock_offset_ms() -> float | None:
    """Return the kernel's estimate of the clock's offset in ms where it is synchronised, else None (adjtimex)."""
    import ctypes

    class Timex(ctypes.Structure):
        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq_maxerror_esterror", ctypes.c_long * 3),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_long * 30),
        )

    try:
        library = ctypes.CDLL(None, use_errno=True)
        state = Timex()
        status = library.adjtimex(ctypes.byref(state))
    except (OSError, AttributeError):
        return None
    nano = 0x2000  # STA_NANO in the status word: the offset is in ns, else in us
    unsynchronised = 5  # TIME_ERROR
    if status < 0 or status == unsynchronised:
        return None
    return state.offset / (1e6 if state.status & nano else 1e3)


def _data() -> str:
    from market_models.datasets import find_data

    found = find_data()
    if found is None:
        return "none (set BOOKSWARM_DATA, or put recordings under ./data); shipped calibrations are used"
    return str(Path(os.path.relpath(found)))
