"""The CUDA backend inside JAX programs: one kernel launch on XLA's stream for a whole batch of markets.

Same arguments, results and aliases as `sim/engine/cpu.py`. Not run on a GPU yet: what is tested is the source on the
host, its compilation to sm_90, and the launch up to the driver (docs/gpu.md).
"""

from functools import cache

import jax

from kernels.lob.cuda import frame, launch
from kernels.lob.cuda.driver import the_driver
from kernels.lob.cuda.errors import CudaMissingError
from kernels.lob.cuda.source import MARKET_STEP, PROCESS, kernel_source
from kernels.lob.spec import LobConfig
from market_models.flow import Flow
from sim.engine.ffi_calls import MarketStep, Process, Targets, market_step_call, process_call
from sim.engine.types import MarketConfig

PLATFORM = "CUDA"

_TARGETS = Targets[launch.LaunchHandler]("cuda", PLATFORM, frame.frame_version)
register = _TARGETS.register


def check_available() -> None:
    """Raise CudaMissingError, which says what is missing, unless driver, GPU and JAX's plugin are there."""
    the_driver()
    try:
        jax.devices("cuda")
    except RuntimeError as error:
        raise CudaMissingError(
            f"JAX {jax.__version__} sees no CUDA device though the driver does: pip install 'bookswarm[cuda]' ({error})"
        ) from error


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
    name = _TARGETS.free_name(launch.market_step_target(flow_name, config.capacity, modes))

    def make(version: tuple[int, int]) -> launch.LaunchHandler:
        table = launch.launch_table(kernel_source(MARKET_STEP, config.capacity, flow_source))
        return launch.make_market_step_launcher(config.capacity, modes, name, table, version)

    return register(name, make)
