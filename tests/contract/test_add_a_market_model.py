"""A market model of somebody else: one new module and one registry line, and every command and backend knows it.

The module lies outside the project; the line is put into a copy of the registry, which a child process imports in its
place. Nothing else of the project is touched.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from market_models import registry
from tests.support.binance_feed import small_feed

ROOT = Path(__file__).resolve().parents[2]
PARTS = ", ".join(f'"coin_flow:{part}"' for part in ("FLOW", "fit", "pack_params", "start_messages"))
LINE = f'    "coin_flow": MarketModel({PARTS}),'

MODULE = '''
"""Each side with probability 1/2: half limit orders near a fixed price, a quarter market orders, a quarter cancels."""

import numpy as np
from numba import njit

from kernels.lob import spec
from kernels.lob.philox import philox4x32
from market_models.calibration import Calibration
from market_models.flow import Flow

SPAN = 8


@njit(inline="always")
def sample(params, background, price_tick, lots, order_id, owner, num_orders, meta, seed, msg):
    which, where, _, _ = philox4x32(seed[0], seed[1], meta[spec.META_DRAW], 0)
    side = np.int64(which >> np.uint32(31))
    kind = np.int64(which & np.uint32(3))
    count = np.int64(num_orders[side])
    dt_us = np.int64(params[1])
    msg[spec.SIDE] = side
    if kind < 2 or count == 0:
        msg[spec.KIND] = spec.LIMIT
        msg[spec.LOTS] = params[2]
        msg[spec.PRICE_TICK] = params[0] + (2 * side - 1) * (1 + np.int64(where & np.uint32(SPAN - 1)))
        return spec.FLOW_EVENT, dt_us
    if kind == 2:
        msg[spec.KIND] = spec.MARKET
        msg[spec.LOTS] = params[2]
        return spec.FLOW_EVENT, dt_us
    slot = np.int64(where % np.uint32(count))
    if owner[side, slot] != 0:
        return spec.FLOW_NULL, dt_us
    msg[spec.KIND] = spec.DELETE
    msg[spec.ORDER_ID] = order_id[side, slot]
    return spec.FLOW_EVENT, dt_us


def sample_xla(params, background, price_tick, lots, order_id, owner, num_orders, meta, seed):
    import jax.numpy as jnp
    from market_models.philox_xla import philox4x32 as philox

    which, where, _, _ = philox(seed, meta[spec.META_DRAW].astype(jnp.uint32), 0)
    side = (which >> np.uint32(31)).astype(jnp.int32)
    kind = (which & np.uint32(3)).astype(jnp.int32)
    count = num_orders[side]
    limit = (kind < 2) | (count == 0)
    market = ~limit & (kind == 2)
    slot = (where % jnp.maximum(count, 1).astype(jnp.uint32)).astype(jnp.int32)
    cancel = ~limit & ~market & (owner[side, slot] == 0)
    price = params[0] + (2 * side - 1) * (1 + (where & np.uint32(SPAN - 1)).astype(jnp.int32))
    zero = jnp.zeros_like(side)
    name = jnp.where(limit, spec.LIMIT, jnp.where(market, spec.MARKET, spec.DELETE))
    words = [
        name,
        side,
        jnp.where(cancel, 0, params[2]),
        jnp.where(limit, price, 0),
        jnp.where(cancel, order_id[side, slot], 0),
        zero,
        zero,
        zero,
    ]
    happens = limit | market | cancel
    status = jnp.where(happens, spec.FLOW_EVENT, spec.FLOW_NULL).astype(jnp.int32)
    return status, params[1], jnp.where(happens, jnp.stack(words).astype(jnp.int32), 0), meta


FLOW = Flow("coin_flow", sample, "coin_flow:sample_xla", 3)


def fit(recording, from_s, to_s):
    time_s = recording.time_total_ns / 1e9
    inside = int(((time_s >= from_s) & (time_s < to_s)).sum())
    mid = recording.book[:, :, 0, 0].astype(np.float64).mean()
    params = {"reference_tick": round(mid), "events_per_s": inside / (to_s - from_s), "lots": 5}
    errors = {"events_per_s": inside**0.5 / (to_s - from_s)}
    return Calibration("coin_flow", recording.instrument, params, errors, 0.0, recording.digest, from_s, to_s)


def pack_params(calibration):
    p = calibration.params
    return np.array([p["reference_tick"], 1e6 / p["events_per_s"], p["lots"]], np.int32)


def start_messages(calibration, seed):
    out = np.zeros((2, spec.NUM_MESSAGE_COLUMNS), np.int32)
    for side in (0, 1):
        price = calibration.reference_tick + 2 * side - 1
        out[side, :5] = spec.LIMIT, side, 5, price, side + 1
    return out
'''

RUNNER = '''
"""Import the registry with the new line in place of the project's, then use the model as any other."""

import importlib.util
import json
import sys

import market_models

found = importlib.util.spec_from_file_location("market_models.registry", sys.argv[1])
registry = importlib.util.module_from_spec(found)
sys.modules["market_models.registry"] = market_models.registry = registry
found.loader.exec_module(registry)

from experiments.cli import app

session, fitted, folder = sys.argv[2:]
app(["calibrate", "--model", "coin_flow", "--data", session, "--out", fitted, "--quiet"], standalone_mode=False)
generated = ["--messages", "200", "--levels", "3", "--capacity", "64", "--out", folder, "--quiet"]
app(["generate", "--calibration", fitted, *generated], standalone_mode=False)

import jax
import numpy as np

from kernels.lob import spec
from kernels.lob.host import HostBook
from kernels.lob.spec import LobConfig
from market_models.calibration import load_calibration, pack_params, start_messages
from sim.engine import api
from sim.engine.types import MarketConfig

calibration = load_calibration(fitted)
config = MarketConfig(LobConfig(capacity=64, max_fills=8, depth_levels=3), inbox=4, num_learners=1)
host = HostBook(config.lob, "oracle")
host.apply(start_messages(calibration, 1))
state = api.init_market(config, host.book, 7, 0, 34_200, 0, 100, calibration.reference_tick)
leaves = {}
for backend in ("cpu", "xla"):
    step = jax.jit(api.make_market_step(config, registry.get_flow("coin_flow"), backend))
    nothing = np.zeros((0, 8), np.int32)
    after = step(state, np.zeros((1, 8), np.int32), pack_params(calibration), nothing, np.array([300, 0], np.int32))
    leaves[backend] = [np.asarray(leaf) for leaf in jax.tree.leaves(after)]
same = all(np.array_equal(a, b) for a, b in zip(leaves["cpu"], leaves["xla"], strict=True))
summary = np.asarray(after[1].summary)
print(json.dumps({"same": same, "events": int(summary[spec.SUM_EVENTS]), "trades": int(summary[spec.SUM_NUM_TRADES])}))
'''


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Run the child: (its standard output, folder)."""
    folder = tmp_path_factory.mktemp("model")
    table = Path(registry.__file__).read_text(encoding="utf-8")
    opening = "MODELS: dict[str, MarketModel] = {\n"
    assert table.count(opening) == 1
    (folder / "registry_with_a_line.py").write_text(table.replace(opening, opening + LINE + "\n"), encoding="utf-8")
    (folder / "coin_flow.py").write_text(MODULE, encoding="utf-8")
    (folder / "run.py").write_text(RUNNER, encoding="utf-8")
    session = small_feed().write(folder)
    command = [sys.executable, "run.py", "registry_with_a_line.py", str(session), "fitted.json", "out"]
    paths = os.pathsep.join([str(ROOT), str(folder)])
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout, folder


def test_calibrate_fits_it_and_generate_writes_its_market(used):
    _, folder = used
    fitted = json.loads((folder / "fitted.json").read_text())
    assert fitted["model"] == "coin_flow" and fitted["params"]["lots"] == 5
    assert fitted["standard_errors"]["events_per_s"] > 0
    assert len(list((folder / "out").glob("TESTUSDT_GENERATED-0001_*_3.zip"))) == 1


def test_the_market_step_gives_the_same_bits_on_the_cpu_and_in_xla(used):
    found = json.loads(used[0].strip().splitlines()[-1])
    assert found["same"] and found["events"] == 300 and found["trades"] > 20


def test_without_the_line_it_is_refused_by_name():
    with pytest.raises(ValueError, match=r"coin_flow.*queue_reactive"):
        registry.get_model("coin_flow")
