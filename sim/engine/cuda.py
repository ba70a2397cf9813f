"""The CUDA backend inside JAX programs: one kernel launch on XLA's stream for a whole batch of markets.

Same arguments, results and aliases as `sim/engine/cpu.py`. Not run on a GPU yet: what is tested is the source on the
host, its compilation to sm_90, and the launch up to the driver (docs/gpu.md).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax

from kernels.lob import ffi
from kernels.lob.cuda import frame, launch
from kernels.lob.cuda.driver import the_driver
from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, kernel_source
from kernels.lob.spec import LobConfig
from market_models.flow import Flow
from sim.engine.ffi_calls import MarketStep, Process, market_step_call, process_call
from sim.engine.types import MarketConfig

PLATFORM = "CUDA"

# XLA keeps bare addresses of registered handlers, so their machine code has to live as long as the process.
_HANDLERS: dict[str, launch.LaunchHandler] = {}


def check_available() -> None:
    """Raise CudaMissingError, which says what is missing, unless driver, GPU and JAX's plugin are there."""
    the_driver()
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        raise CudaMissingError(
            f"JAX {jax.__version__} sees no CUDA device though the driver does: pip install 'bookswarm[cuda]' ({error})"
        ) from error


@cache
def _version() -> tuple[int, int]:
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        return frame.frame_version(header.read_text())
    except ffi.FfiVersionError as error:
        raise ffi.FfiVersionError(f"the cuda backend does not work with JAX {jax.__version__}: {error}") from error


def register(name: str, make_handler: Callable[[tuple[int, int]], launch.LaunchHandler]) -> str:
    """Compile and register a handler under `name` unless that was done before; return the name."""
    if name not in _HANDLERS:
        handler = make_handler(_version())
        jax.ffi.register_ffi_target(name, handler.capsule(), platform=PLATFORM, api_version=1)
        _HANDLERS[name] = handler
    return name


def make_process(config: LobConfig) -> Process:
    """Return `process(book, messages int32[M, 8], reference_tick int32[])` of one market for GPUs.

    Raises CudaMissingError where the machine cannot run it.
    """
    check_available()
    return process_call(process_target(config), config)


def process_target(config: LobConfig) -> str:
    """Compile and register the handler of `process` for a configuration; return its name."""
    modes = (config.fills_mode, config.self_trade, config.queue_model)

    def make(version: tuple[int, int]) -> launch.LaunchHandler:
        table = launch.launch_table(kernel_source(PROCESS, config.capacity))
        return launch.make_process_launcher(config.capacity, modes, table, version)

    return register(launch.process_target(config.capacity, modes), make)


def make_market_step(config: MarketConfig, flow: Flow) -> MarketStep:
    """Return `step(state, agent_messages, flow_params, background, horizon)` of one market for GPUs.

    Raises CudaMissingError where the machine cannot run it, ValueError for a flow without CUDA source.
    """
    if not flow.cuda_source_path:
        raise ValueError(f"the flow {flow.name!r} has no CUDA source (Flow.cuda_source_path); use backend cpu or xla")
    check_available()
    return market_step_call(market_step_target(config.lob, flow.name, flow.cuda_source_path), config)


@cache
def market_step_target(config: LobConfig, flow_name: str, flow_source: str) -> str:
    """Compile and register the handler of the market step around a flow; return its name."""
    modes = (config.self_trade, config.queue_model)
    name = launch.market_step_target(flow_name, config.capacity, modes)
    while name in _HANDLERS:  # another flow of that name
        name += "_"

    def make(version: tuple[int, int]) -> launch.LaunchHandler:
        table = launch.launch_table(kernel_source(MARKET_STEP, config.capacity, flow_source))
        return launch.make_market_step_launcher(config.capacity, modes, name, table, version)

    return register(name, make)
