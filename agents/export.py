"""The selected ensemble as a signed artifact, written and then verified as live will load it."""

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from agents import ensemble, networks, run_files
from agents.ensemble import EnsembleParams
from agents.episodes import Markets
from kernels.ensemble.golden import make_golden_check
from kernels.execution.quotes import ACTION_COLUMNS, ACTION_TABLE
from kernels.features.table import FEATURE_NAMES, schema_digest
from market_models.instrument import Instrument
from protos.artifact import manifest as m
from protos.artifact.keys import load_or_create_signing_key
from protos.artifact.layout import MEMBER_WEIGHT_TENSOR
from protos.artifact.store import Arrays, load_artifact, write_artifact
from sim.market_making import MarketMaking
from sim.market_making_types import EnvParams

DAY_NS: Final = 86_400 * 10**9
GOLDEN_COUNT: Final = 64
DISAGREEMENT_MARGIN: Final = 1.5  # the limit is this much above what 99.9 % of decisions showed
DISAGREEMENT_FLOOR: Final = 0.05  # members that are almost one agent must not be refused for a hair
_LIBRARIES: Final = ("jax", "jaxlib", "numpy", "numba")


@dataclass(frozen=True)
class ExportConfig:
    """What an artifact is called, how long it holds, and when it refuses itself."""

    name: str = "bookswarm"
    created_by: str = "bookswarm export"
    validity_days: float = 30.0
    disagreement_limit: float | None = None  # None: measured on validation episodes, with a margin
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name is empty")
        if not self.validity_days > 0.0:
            raise ValueError(f"validity_days is {self.validity_days}; valid: above 0")
        if self.disagreement_limit is not None and not 0.0 < self.disagreement_limit <= 1.0:
            raise ValueError(f"disagreement_limit is {self.disagreement_limit}; valid: above 0, at most 1")


@dataclass(frozen=True)
class Provenance:
    """Where the run comes from; digests are sha256, "" where there is nothing to digest."""

    run_id: str
    commit: str
    config_digest: str = ""
    data_digest: str = ""
    calibration_digest: str = ""
    versions: dict[str, str] = field(default_factory=dict)  # added to those of the numerical libraries


def export(
    run_dir: Path,
    selection: Mapping[str, Any],
    out: Path,
    markets: Markets,
    instruments: Sequence[Instrument],
    provenance: Provenance,
    *,
    config: ExportConfig | None = None,
    keys_dir: Path | None = None,
) -> dict[str, Any]:
    """Write the ensemble of `selection` (selection.json) to the directory `out`, load it again and verify it.

    `markets` are validation episodes of the environment that the population was trained for: its normaliser, limits and
    pace enter the manifest, and the golden observations are drawn from its episodes. The artifact's probabilities are
    recomputed without JAX and compared with the training network's. Returns {artifact, members, digest,
    golden_max_error, ...}. Raises ValueError, before anything is written, if training and live disagree or run and
    environment do not fit; ArtifactError if what was written does not verify.
    """
    config = config or ExportConfig()
    params = networks.load_population(Path(run_dir))
    networks.check_feed_forward(params, "export")
    chosen = ensemble.take_members(params, selection["members"], selection["shares"])
    observations, disagreement = sample_observations(markets, chosen)
    limit = config.disagreement_limit or _limit_from(disagreement)
    golden = golden_vectors(chosen, observations)
    manifest = _manifest(run_dir, selection, markets.env, instruments, provenance, config, chosen, limit)
    weights = {**ensemble_tensors(chosen), **normaliser_tensors(markets.env)}
    check = make_golden_check()
    check(weights, manifest.network, golden)  # before anything is signed
    key = load_or_create_signing_key(keys_dir)
    digest = write_artifact(Path(out), manifest, weights, golden, key, overwrite=config.overwrite)
    features = m.FeatureSpec(FEATURE_NAMES, schema_digest())
    loaded = load_artifact(Path(out), check, keys_dir, features=features, now_ns=manifest.created_ns)
    return {
        "artifact": str(out),
        "members": len(manifest.members),
        "digest": digest,
        "golden_max_error": loaded.golden_max_error,
        "released": manifest.released,
        "disagreement_limit": limit,
        "expires_ns": manifest.expires_ns,
        "signed_by": loaded.signed_by,
    }


def ensemble_tensors(chosen: EnsembleParams) -> Arrays:
    """Return the tensors of kernels/ensemble: actor/L/kernel, actor/L/bias, member_weight, members first."""
    tensors = {name: np.asarray(leaf) for name, leaf in networks.named_tensors({"actor": chosen.actor}).items()}
    return {**tensors, MEMBER_WEIGHT_TENSOR: np.asarray(chosen.member_weight)}


def normaliser_tensors(env: MarketMaking) -> Arrays:
    """Return the environment's normaliser as tensors `normaliser/FIELD`."""
    return {f"normaliser/{name}": np.asarray(value) for name, value in env.normaliser._asdict().items()}


def sample_observations(markets: Markets, chosen: EnsembleParams, num_steps: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return (obs float32[N, D], disagreement float32[N]) from the ensemble's own decisions in up to 32 episodes."""
    rows = np.arange(min(32, len(markets.seed)))
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[rows]), markets.params)
    steps = min(num_steps, int(np.min(markets.params.max_steps_in_episode)))
    walk = jax.jit(jax.vmap(partial(_walk, markets.env, steps), in_axes=(None, 0, 0)))
    obs, apart = walk(chosen, markets.key[rows], params)
    return np.asarray(obs).reshape(-1, obs.shape[-1]), np.asarray(apart).ravel()


def _walk(
    env: MarketMaking, steps: int, chosen: EnsembleParams, key: jax.Array, params: EnvParams
) -> tuple[jax.Array, jax.Array]:
    def step(carry: Any, _step: Any) -> tuple[Any, Any]:
        obs, state = carry
        probs, apart = ensemble.probabilities(chosen, obs)
        action = jnp.argmax(probs).astype(jnp.int32)
        stepped = env.step_env(key, state, action, params)
        return stepped[:2], (obs, apart)

    return jax.lax.scan(step, env.reset_env(key, params), length=steps)[1]


def _limit_from(disagreement: np.ndarray) -> float:
    usual = float(np.quantile(disagreement, 0.999))
    return float(min(1.0, max(DISAGREEMENT_FLOOR, DISAGREEMENT_MARGIN * usual)))


def golden_vectors(chosen: EnsembleParams, observations: np.ndarray) -> Arrays:
    """Return obs, probs, action, disagreement of GOLDEN_COUNT observations, spread evenly over those given."""
    at = np.unique(np.linspace(0, len(observations) - 1, GOLDEN_COUNT).astype(int))
    obs = np.ascontiguousarray(observations[at], np.float32)
    probs, apart = jax.jit(ensemble.probabilities)(chosen, obs)
    return {
        "obs": obs,
        "probs": np.asarray(probs, np.float32),
        "action": np.argmax(np.asarray(probs), axis=1).astype(np.int32),
        "disagreement": np.asarray(apart, np.float32),
    }


def _manifest(
    run_dir: Path,
    selection: Mapping[str, Any],
    env: MarketMaking,
    instruments: Sequence[Instrument],
    provenance: Provenance,
    config: ExportConfig,
    chosen: EnsembleParams,
    limit: float,
) -> m.Manifest:
    now_ns = time.time_ns()
    shares = np.asarray(chosen.member_weight, np.float64)  # what float32 holds is what the manifest says
    hyper = run_files.read_json(Path(run_dir) / "hyperparameters.json", "train")["hyperparameters"]
    members = tuple(
        m.MemberSpec(int(agent), float(share), {name: float(values[agent]) for name, values in hyper.items()})
        for agent, share in zip(selection["members"], shares, strict=True)
    )
    widths = [chosen.actor[str(layer)]["kernel"].shape[2] for layer in range(len(chosen.actor))]
    return m.Manifest(
        schema_version=m.SCHEMA_VERSION,
        name=config.name,
        created_by=config.created_by,
        created_ns=now_ns,
        expires_ns=now_ns + int(config.validity_days * DAY_NS),
        released=bool(selection["released"]),
        instruments=tuple(_instrument(instrument) for instrument in instruments),
        features=m.FeatureSpec(FEATURE_NAMES, schema_digest()),
        normaliser=tuple(
            m.ArraySpec(name, tensor.dtype.name, tuple(tensor.shape))
            for name, tensor in normaliser_tensors(env).items()
        ),
        action=m.ActionSpec("quote_table", ACTION_COLUMNS, ACTION_TABLE),
        limits=_limits(env.default_params),
        timing=_timing(env.default_params),
        network=m.NetworkSpec("mlp", tuple(widths[:-1]), "tanh", len(FEATURE_NAMES), len(ACTION_TABLE)),
        members=members,
        ensemble=m.EnsembleSpec(m.MEAN_PROBABILITY_ARGMAX, limit),
        provenance=_provenance(provenance, selection),
        files={},
    )


def _instrument(instrument: Instrument) -> m.InstrumentSpec:
    return m.InstrumentSpec(
        instrument.name, str(instrument.tick_size), str(instrument.lot_size), str(instrument.currency)
    )


def _limits(params: EnvParams) -> m.LimitSpec:
    options = {
        "max_steps_in_episode": int(params.max_steps_in_episode),
        "liquidate": bool(params.liquidate),
        "inventory_penalty": float(params.inventory_penalty),
        # What trading cost in training; a paper venue charges the same. Six digits: these are float32.
        **{f"fees.{name}": float(f"{float(rate):.6g}") for name, rate in params.fees._asdict().items()},
    }
    return m.LimitSpec(int(params.quote_lots), int(params.inventory_cap_lots), options)


def _timing(params: EnvParams) -> m.TimingSpec:
    events, microseconds = (int(value) for value in np.asarray(params.horizon))
    table = np.asarray(params.entry_quantiles_ns)
    median_ns = int(table[table.shape[-1] // 2])  # a venue with a constant latency gets the typical one
    return m.TimingSpec(events, microseconds, int(params.latency_ns) + median_ns)


def _provenance(provenance: Provenance, selection: Mapping[str, Any]) -> m.ProvenanceSpec:
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return m.ProvenanceSpec(
        run_id=provenance.run_id,
        commit=provenance.commit,
        config_digest=provenance.config_digest,
        data_digest=provenance.data_digest,
        calibration_digest=provenance.calibration_digest,
        versions={**versions, **provenance.versions},
        selection=m.SelectionSpec(
            status=str(selection["status"]),
            trials=int(selection["trials"]),
            effective_trials=float(selection["effective_trials"]),
            dsr=float(selection["dsr"]),
            pbo=float(selection["pbo"]),
            stepm_survivors=int(selection["stepm_survivors"]),
            holdout=dict(selection["holdout"]),
        ),
    )
