"""What the makers of all environments ask of the fields that a caller names."""

from collections.abc import Iterable


def check_names(given: Iterable[str], kind: type, what: str = "") -> None:
    """Raise ValueError for a name that is no field of the parameters `kind`; `what` says where it was given."""
    unknown = sorted(set(given) - set(kind.__dataclass_fields__))
    if unknown:
        where = f"{what}: " if what else ""
        valid = sorted(kind.__dataclass_fields__)
        raise ValueError(f"{where}{kind.__name__} has no field {unknown[0]!r}; it has {valid}")
