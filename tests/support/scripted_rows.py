"""A market model that sends what its calibration lists, round and round: the scripted counterpart of a fitted one."""

import numpy as np
from numba import njit

from kernels.lob import spec
from market_models.calibration import Calibration
from market_models.flow import Flow
from market_models.instrument import Instrument
from market_models.registry import MarketModel

END = -1  # as the kind of a message: the flow is exhausted
WORDS = 5  # kind, side, lots, price_tick, order id


@njit
def sample(flow_params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    """Send the next of the messages that the parameters hold, a microsecond after the one before."""
    place = WORDS * (meta[spec.META_FLOW] % (flow_params.shape[0] // WORDS))
    if flow_params[place] == END:
        return spec.FLOW_EXHAUSTED, np.int64(0)
    meta[spec.META_FLOW] += 1
    for column in range(WORDS):
        msg[column] = flow_params[place + column]
    return spec.FLOW_EVENT, np.int64(1)


FLOW = Flow("scripted", sample, "", 0)
MODEL = MarketModel(f"{__name__}:FLOW", pack_path=f"{__name__}:pack", start_path=f"{__name__}:start")


def pack(calibration: Calibration) -> np.ndarray:
    """Return the messages behind one another."""
    return np.array(calibration.params["messages"], np.int32).ravel()


def start(calibration: Calibration, seed: int) -> np.ndarray:
    """Return an empty opening book."""
    return np.zeros((1, spec.NUM_MESSAGE_COLUMNS), np.int32)


def scripted_calibration(*messages: tuple[int, ...]) -> Calibration:
    """Return the calibration of the model `scripted` that sends `messages` of five words."""
    params = {"messages": [list(message) for message in messages], "reference_tick": 100}
    return Calibration("scripted", Instrument("SCRIPT", "0.01"), params, {}, 0.0, "", 0, 1)
