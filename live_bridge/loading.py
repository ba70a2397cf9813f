"""From files to what a session needs: the artifact as a policy with its limits, a recording as a market."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kernels.ensemble.ensemble import Ensemble
from kernels.ensemble.golden import make_golden_check
from kernels.execution.quotes import ACTION_COLUMNS, ACTION_TABLE
from kernels.features.normalise import Normaliser
from kernels.features.table import FEATURE_NAMES, schema_digest
from live_bridge.policy import EnsemblePolicy, Policy
from live_bridge.venues.paper import PaperMarketData
from market_models.datasets import lobster
from market_models.datasets.errors import DataError
from market_models.datasets.lobster_replay import to_trading_stream
from market_models.fees import Fees
from market_models.instrument import Instrument
from protos.artifact.errors import ArtifactError
from protos.artifact.manifest import FeatureSpec, Manifest
from protos.artifact.store import Artifact, load_artifact

NS_PER_S = 1_000_000_000
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


class Timing(NamedTuple):
    """The pace for which a policy was made."""

    horizon_events: int = 20
    latency_ns: int = 1_000_000
    episode_steps: int = 256
    expires_ns: int = 2**62


class PolicyLimits(NamedTuple):
    """The limits under which a policy was made; live may be stricter, never looser."""

    quote_lots: int = 100
    inventory_cap_lots: int = 500
    disagreement_limit: float = 1.0
    instruments: tuple[tuple[str, str, str], ...] = ()  # (name, tick size, lot size); none: any
    fees: Fees = Fees()  # what trading cost in training

    def stricter(self, quote_lots: int | None, inventory_cap_lots: int | None) -> "PolicyLimits":
        """Return these limits with the given ones in their place; ValueError if one is looser."""
        asked = {"quote_lots": quote_lots, "inventory_cap_lots": inventory_cap_lots}
        changes = {name: value for name, value in asked.items() if value is not None}
        for name, value in changes.items():
            if self.instruments and value > getattr(self, name):
                raise ValueError(f"{name} {value} is above {getattr(self, name)}, for which the artifact was trained")
        return self._replace(**changes)

    def check_instrument(self, instrument: Instrument) -> None:
        """Raise ValueError if the policy was made for other instruments, or for other steps of this one."""
        ours = (instrument.name, instrument.tick_size, instrument.lot_size)
        if self.instruments and ours not in self.instruments:
            raise ValueError(f"the artifact trades {list(self.instruments)}, the data is of {ours}")


def load_policy(
    artifact: Path | None, policy: Policy | None, trusted_keys: Path | None = None
) -> tuple[Policy, Timing, PolicyLimits]:
    """Return a policy and what it was made for. ArtifactError if the artifact does not verify in every byte."""
    if (artifact is None) == (policy is None):
        raise ValueError("give exactly one of artifact and policy")
    if policy is not None:
        return policy, Timing(), PolicyLimits()
    assert artifact is not None
    loaded = load_artifact(
        artifact,
        golden_check=make_golden_check(),
        features=FeatureSpec(FEATURE_NAMES, schema_digest()),
        trusted_keys_dir=trusted_keys,
    )
    manifest = loaded.manifest
    if (manifest.action.columns, manifest.action.table) != (ACTION_COLUMNS, ACTION_TABLE):
        raise ArtifactError("manifest.json", "its action table is not this program's (kernels/execution/quotes.py)")
    ensemble = EnsemblePolicy(
        Ensemble.from_weights(loaded.weights, manifest.network), _normaliser(loaded), loaded.digest
    )
    return ensemble, _timing(manifest), _limits(manifest)


def _normaliser(artifact: Artifact) -> Normaliser:
    tensors = {spec.tensor.rpartition("/")[2]: artifact.weights[spec.tensor] for spec in artifact.manifest.normaliser}
    missing = set(Normaliser._fields) - set(tensors)
    if missing:
        raise ValueError(f"the artifact's normaliser has no {', '.join(sorted(missing))}")
    return Normaliser(**{name: tensors[name] for name in Normaliser._fields})


def _timing(manifest: Manifest) -> Timing:
    timing = manifest.timing
    if timing.horizon_us:
        raise ValueError(f"horizon_us {timing.horizon_us}: the paper venue decides by events, not by time")
    steps = manifest.limits.options.get("max_steps_in_episode", Timing().episode_steps)
    return Timing(timing.horizon_events, timing.latency_ns, int(steps), manifest.expires_ns)


def _limits(manifest: Manifest) -> PolicyLimits:
    limits = manifest.limits
    instruments = tuple((each.name, each.tick_size, each.lot_size) for each in manifest.instruments)
    rates = {name.removeprefix("fees."): value for name, value in limits.options.items() if name.startswith("fees.")}
    return PolicyLimits(
        limits.order_lots,
        limits.max_inventory_lots,
        manifest.ensemble.disagreement_limit,
        instruments,
        Fees(**rates),  # pyright: ignore[reportArgumentType]
    )


def load_market(path: Path | None, from_s: int | None, to_s: int | None) -> PaperMarketData:
    """Return the part from_s <= time < to_s of a LOBSTER recording as a market; DataError if it cannot be traded."""
    if path is None:
        raise ValueError("give exactly one of data and market")
    recording = lobster.read(path)
    times = recording.time_total_ns
    start = 0 if from_s is None else int(np.searchsorted(times, from_s * NS_PER_S))
    row = max(start - 1, 0)
    if row >= len(times) - 1:
        raise DataError(path, 0, f"no message at or after {from_s} s")
    stream = to_trading_stream(recording, (row,))
    keep = stream.row > row
    if to_s is not None:
        keep &= stream.time_ns < to_s * NS_PER_S
    if not keep.any():
        raise DataError(path, 0, f"no message between {from_s} s and {to_s} s")
    return PaperMarketData(
        instrument=recording.instrument,
        seed=stream.snapshots[row],
        background=np.ascontiguousarray(stream.messages[keep]),
        start_ns=int(times[row]),
        source=f"{Path(path).name} sha256 {recording.digest}",
    )


def recorded_day_ns(path: Path) -> int:
    """Return UTC nanoseconds of midnight of the day in a file's name, 0 where there is none."""
    found = _DATE.search(path.name)
    if found is None:
        return 0
    year, month, day = (int(part) for part in found.groups())
    return int(datetime(year, month, day, tzinfo=UTC).timestamp()) * NS_PER_S
