"""Calibrated parameters of a market model, kept as a small JSON file: numbers, digest of the data, window of the fit.

No recorded book or message enters a calibration. Files are looked for by name in `market_models/calibrations/`.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from market_models.datasets.recording import Recording
from market_models.fees import Fees
from market_models.instrument import Instrument
from market_models.parameter_files import load_parameters, shipped_names, write_parameters

SCHEMA_VERSION = 1
SHIPPED = Path(__file__).parent / "calibrations"


@dataclass(frozen=True)
class Calibration:
    """A fitted market model. Lists in `params` and `standard_errors` have the units that the model's module states."""

    model: str  # name in market_models/registry.py
    instrument: Instrument
    params: dict[str, Any]
    standard_errors: dict[str, Any]
    log_likelihood: float
    data_digest: str  # sha256 of the recording
    from_s: float  # window of the fit, seconds since midnight
    to_s: float
    fees: Fees = field(default_factory=Fees)
    counts: dict[str, int] = field(default_factory=dict)  # events that entered the fit
    note: str = ""

    @property
    def reference_tick(self) -> int:
        """Price level that synthetic books are built around, in ticks."""
        return int(self.params["reference_tick"])


_REQUIRED = {
    "model": str,
    "instrument": dict,
    "params": dict,
    "standard_errors": dict,
    "log_likelihood": (int, float),
    "data_digest": str,
    "from_s": (int, float),
    "to_s": (int, float),
}
_OPTIONAL = {"fees": dict, "counts": dict, "note": str}


def calibrate(
    recording: Recording, from_s: float | None = None, to_s: float | None = None, model: str = "zero_intelligence"
) -> Calibration:
    """Fit `model` to the recording between two times in seconds since midnight, None for where it starts or ends.

    Raises ValueError if the window holds too little.
    """
    from market_models.registry import get_model

    first_s, last_s = int(recording.time_s[0]), int(recording.time_s[-1]) + 1
    window = (first_s if from_s is None else from_s, last_s if to_s is None else to_s)
    return get_model(model).calibrate(recording, *window)


def pack_params(calibration: Calibration) -> np.ndarray:
    """Return the int32[P] that the model's sampler takes."""
    from market_models.registry import get_model

    return get_model(calibration.model).pack_params(calibration)


def start_messages(calibration: Calibration, seed: int) -> np.ndarray:
    """Return an opening book drawn from the calibrated shape, LIMIT messages int32[M, 8] padded with NOP.

    M is the same for every seed, ids are 1..M. It is a start only: let the market burn in before using it.
    """
    from market_models.registry import get_model

    return get_model(calibration.model).start_messages(calibration, seed)


def to_json(calibration: Calibration) -> str:
    """Return the calibration as JSON text, rates to six significant digits."""
    record = {"schema_version": SCHEMA_VERSION, **asdict(calibration)}
    record["params"], record["standard_errors"] = _rounded(record["params"]), _rounded(record["standard_errors"])
    return json.dumps(record, indent=1, sort_keys=False) + "\n"


def save_calibration(calibration: Calibration, path: Path | str) -> Path:
    """Write the calibration atomically: whole under its name or not at all."""
    return write_parameters(path, to_json(calibration))


def load_calibration(name: Path | str) -> Calibration:
    """Load a calibration by the name of a shipped one or by path; ValueError names the file and the key."""
    return _from_record(*load_parameters(name, SHIPPED, "calibration"))


def shipped_calibrations() -> list[str]:
    """Return the names of the calibrations that come with the project."""
    return shipped_names(SHIPPED)


def _from_record(path: Path, record: Any) -> Calibration:
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path}: schema_version is not {SCHEMA_VERSION}")
    fields = {key: value for key, value in record.items() if key != "schema_version"}
    known = {**_REQUIRED, **_OPTIONAL}
    wrong = sorted(fields.keys() - known.keys()) + sorted(_REQUIRED.keys() - fields.keys())
    if wrong:
        raise ValueError(f"{path}: keys {wrong} are unknown or missing, valid are {sorted(known)}")
    for key, value in fields.items():
        if not isinstance(value, known[key]):
            raise ValueError(f"{path}: {key} is a {type(value).__name__}")
    try:
        fields["instrument"] = Instrument(**fields["instrument"])
        fields["fees"] = Fees(**fields.get("fees", {}))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: instrument or fees: {error}") from error
    return Calibration(**fields)


def _rounded(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    if isinstance(values, list):
        return [_rounded(value) for value in values]
    return float(f"{values:.6g}") if isinstance(values, float) else values
