"""The numba backend inside JAX programs: one FFI call for a whole batch of markets."""

from functools import cache
from typing import Any

from kernels.lob import ffi
from kernels.lob.spec import LobConfig
from market_models.flow import Flow
from sim.engine.ffi_calls import MarketStep, Process, Targets, market_step_call, process_call
from sim.engine.types import MarketConfig

_TARGETS = Targets[ffi.Handler]("cpu", "cpu", ffi.frame_version)
register = _TARGETS.register


def make_process(config: LobConfig) -> Process:
    """Return `process(book, messages int32[M, 8], reference_tick int32[])` of one market for the CPU."""
    modes = (config.fills_mode, config.self_trade, config.queue_model)
    target = register(ffi.process_target(modes), lambda version: ffi.make_process_handler(modes, version))
    return process_call(target, config)


@cache
def _market_step_target(flow_name: str, sampler: Any, modes: tuple[int, int]) -> str:
    name = _TARGETS.free_name("_".join(("bookswarm_market_step", flow_name, *map(str, modes))))
    return register(name, lambda version: ffi.make_market_step_handler(sampler, name, modes, version))


def make_market_step(config: MarketConfig, flow: Flow) -> MarketStep:
    """Return `step(state, agent_messages, flow_params, background, horizon)` of one market for the CPU."""
    modes = (config.lob.self_trade, config.lob.queue_model)
    return market_step_call(_market_step_target(flow.name, flow.numba_sampler, modes), config)
