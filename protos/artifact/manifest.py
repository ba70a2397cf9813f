"""The manifest of an artifact: everything about the ensemble but its weights.

Every number has its unit in its name or beside it. A field is added with a new `SCHEMA_VERSION`; a reader refuses a
newer version, since it cannot know what the new field asks of it.
"""

import hashlib
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from protos.artifact.codec import CodecError, canonical_json, from_plain, parse_canonical, to_plain
from protos.artifact.errors import ArtifactError
from protos.artifact.layout import MANIFEST_FILE

SCHEMA_VERSION: Final = 1
MEAN_PROBABILITY_ARGMAX: Final = "mean_probability_argmax"
ENSEMBLE_RULES: Final = (MEAN_PROBABILITY_ARGMAX,)
NETWORK_KINDS: Final = ("mlp", "gru")
ACTIVATIONS: Final = ("tanh", "relu")

Scalar = int | float | str | bool
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def _require_step(name: str, text: str) -> None:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{name} '{text}' is not a decimal number") from error
    _require(value.is_finite() and value > 0, f"{name} '{text}' must be finite and above 0")


@dataclass(frozen=True)
class InstrumentSpec:
    """One instrument that the ensemble trades."""

    name: str
    tick_size: str  # decimal, quote currency per tick
    lot_size: str  # decimal, base units per lot
    currency: str  # quote currency

    def __post_init__(self):
        _require(bool(self.name), "instrument name is empty")
        _require_step("tick_size", self.tick_size)
        _require_step("lot_size", self.lot_size)


@dataclass(frozen=True)
class FeatureSpec:
    """The observation's columns before normalisation, in order."""

    names: tuple[str, ...]  # [D]
    digest: str  # sha256 of the feature table (names, order, formulas) as kernels/features gives it

    def __post_init__(self):
        _require(len(self.names) > 0, "features.names is empty")
        _require(len(set(self.names)) == len(self.names), "features.names has a name twice")
        _require(bool(_SHA256.fullmatch(self.digest)), "features.digest is not 64 lowercase hexadecimal digits")


@dataclass(frozen=True)
class ArraySpec:
    """An array in weights.safetensors that is not a network weight, such as one field of the normaliser."""

    tensor: str  # its name in weights.safetensors
    dtype: str  # NumPy name, such as "float32"
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ActionSpec:
    """What an action number means: a row of a table of integers."""

    kind: str  # "quote_table"
    columns: tuple[str, ...]  # meaning and unit of each column, such as "bid_offset_tick"
    table: tuple[tuple[int, ...], ...]  # [num_actions][len(columns)]

    def __post_init__(self):
        _require(len(self.table) > 0, "action.table is empty")
        for number, row in enumerate(self.table):
            _require(
                len(row) == len(self.columns),
                f"action.table[{number}] has {len(row)} columns; action.columns names {len(self.columns)}",
            )


@dataclass(frozen=True)
class LimitSpec:
    """The quoting and inventory limits under which the ensemble was trained; live may be stricter, never looser."""

    order_lots: int  # lots of one quote
    max_inventory_lots: int  # absolute; a quote that could pass it is not sent
    options: dict[str, Scalar] = field(default_factory=dict)  # further settings of the quoting rule, by name

    def __post_init__(self):
        _require(self.order_lots > 0, f"limits.order_lots {self.order_lots} must be above 0")
        _require(
            self.max_inventory_lots >= self.order_lots,
            f"limits.max_inventory_lots {self.max_inventory_lots} is below limits.order_lots {self.order_lots}",
        )


@dataclass(frozen=True)
class NetworkSpec:
    """The members' network; all members share one shape."""

    kind: str  # one of NETWORK_KINDS
    layers: tuple[int, ...]  # hidden widths, first to last
    activation: str  # one of ACTIVATIONS
    observation_dim: int  # D
    num_actions: int

    def __post_init__(self):
        _require(self.kind in NETWORK_KINDS, f"network.kind '{self.kind}' is not one of {', '.join(NETWORK_KINDS)}")
        _require(
            self.activation in ACTIVATIONS,
            f"network.activation '{self.activation}' is not one of {', '.join(ACTIVATIONS)}",
        )
        _require(all(width > 0 for width in self.layers), "network.layers has a width below 1")
        _require(self.observation_dim > 0, "network.observation_dim must be above 0")
        _require(self.num_actions > 1, "network.num_actions must be above 1")


@dataclass(frozen=True)
class MemberSpec:
    """One member of the ensemble; its weights are row `i` of every stacked tensor, `i` its place in `members`."""

    agent_index: int  # its number in the population of the run
    weight: float  # share of the probability average; all shares sum to 1
    hyperparameters: dict[str, float]

    def __post_init__(self):
        _require(self.agent_index >= 0, f"agent_index {self.agent_index} is below 0")
        _require(self.weight > 0.0, f"weight {self.weight} must be above 0")


@dataclass(frozen=True)
class GateSpec:
    """Member weights in one regime; without gates the members' own weights hold everywhere."""

    regime: str
    member_weights: tuple[float, ...]  # [M], sum 1


@dataclass(frozen=True)
class EnsembleSpec:
    """How the members' outputs become one action."""

    rule: str  # one of ENSEMBLE_RULES
    disagreement_limit: float  # mean total variation distance above which a decision is refused, 0..1
    gates: tuple[GateSpec, ...] = ()

    def __post_init__(self):
        _require(self.rule in ENSEMBLE_RULES, f"ensemble.rule '{self.rule}' is not one of {', '.join(ENSEMBLE_RULES)}")
        _require(0.0 < self.disagreement_limit <= 1.0, "ensemble.disagreement_limit must be in (0, 1]")


@dataclass(frozen=True)
class TimingSpec:
    """The pace at which the ensemble was trained to decide."""

    horizon_events: int  # background events between two decisions
    horizon_us: int  # microseconds after which a decision is due anyway, 0 for none
    latency_ns: int  # decision to arrival at the venue, as trained


@dataclass(frozen=True)
class SelectionSpec:
    """Why these members: the statistics of the selection."""

    status: str  # "passed" or "nobody"
    trials: int  # ever made on this data set, this population included
    effective_trials: float
    dsr: float  # deflated Sharpe ratio, a probability
    pbo: float  # probability of backtest overfitting
    stepm_survivors: int
    holdout: dict[str, Scalar]  # figures of the one look at the hold-out


@dataclass(frozen=True)
class ProvenanceSpec:
    """Where the ensemble comes from."""

    run_id: str
    commit: str
    config_digest: str  # sha256 of the resolved configuration
    data_digest: str  # sha256 of the recorded data, "" if none was used
    calibration_digest: str  # sha256 of the calibration, "" if none was used
    versions: dict[str, str]  # library name to version
    selection: SelectionSpec


@dataclass(frozen=True)
class Manifest:
    """Everything about an ensemble but its weights. Invalid contents raise ValueError at construction."""

    schema_version: int
    name: str
    created_by: str
    created_ns: int  # UTC nanoseconds
    expires_ns: int  # UTC nanoseconds; judged in event time
    released: bool  # selection passed; paper accepts false, live does not
    instruments: tuple[InstrumentSpec, ...]
    features: FeatureSpec
    normaliser: tuple[ArraySpec, ...]
    action: ActionSpec
    limits: LimitSpec
    timing: TimingSpec
    network: NetworkSpec
    members: tuple[MemberSpec, ...]  # [M]
    ensemble: EnsembleSpec
    provenance: ProvenanceSpec
    files: dict[str, str]  # file name to sha256, all but manifest.json and signature; filled in by write_artifact

    def __post_init__(self):
        _require(len(self.instruments) > 0, "instruments is empty")
        _require(len(self.members) > 0, "members is empty")
        _require_weights("members", [member.weight for member in self.members])
        _require(
            self.network.num_actions == len(self.action.table),
            f"network.num_actions {self.network.num_actions} but action.table has {len(self.action.table)} rows",
        )
        _require(
            self.network.observation_dim == len(self.features.names),
            f"network.observation_dim {self.network.observation_dim} but features.names has "
            f"{len(self.features.names)} names",
        )
        for gate in self.ensemble.gates:
            _require(len(gate.member_weights) == len(self.members), f"gate '{gate.regime}' has not one weight a member")
            _require_weights(f"gate '{gate.regime}'", list(gate.member_weights))
        _require(self.expires_ns > self.created_ns, "expires_ns is not after created_ns")


def _require_weights(name: str, weights: list[float]) -> None:
    total = sum(weights)
    _require(all(weight >= 0.0 for weight in weights), f"{name}: a weight is below 0")
    _require(abs(total - 1.0) < 1e-6, f"{name}: weights sum to {total:.9g}, not 1")


def feature_digest(names: tuple[str, ...]) -> str:
    """Return the digest of a feature order, for tables that carry no digest of their own."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the canonical bytes of manifest.json."""
    return canonical_json(to_plain(manifest))


def manifest_from_bytes(data: bytes) -> Manifest:
    """Return the manifest, or raise ArtifactError: not canonical, newer schema, unknown or missing field."""
    try:
        document = parse_canonical(data)
        _check_version(document)
        return from_plain(Manifest, document, "manifest")
    except CodecError as error:
        raise ArtifactError(MANIFEST_FILE, str(error)) from error


def _check_version(document: object) -> None:
    """Judge the version before the fields, so that a newer manifest is called newer and not malformed."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise ArtifactError(MANIFEST_FILE, f"schema_version is {version!r}; it must be 1..{SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise ArtifactError(
            MANIFEST_FILE, f"schema version {version} is newer than {SCHEMA_VERSION}, the newest this program reads"
        )
