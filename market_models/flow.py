"""What an order-flow model hands to the engine's market step."""

from collections.abc import Callable
from typing import NamedTuple


class Flow(NamedTuple):
    """A background flow that the engine samples inside its market step.

    The numba sampler runs inside the CPU kernel; its XLA twin gives the same bits and is named by path, so that reading
    this record never imports JAX.
    """

    name: str
    numba_sampler: (
        Callable  # njit: (flow_params, background, price, lots, order_id, owner, num_orders, meta, seed, msg)
    )
    xla_sampler_path: str  # "module:function", the same signature over jax arrays -> (status, dt_us, msg, meta)
    num_params: int  # P, int32 words of packed parameters
    cuda_source_path: str = ""  # file with `sample_flow` in CUDA C++ (kernels/lob/cuda/market_step.cu); "" for none
