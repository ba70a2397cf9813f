"""Venues by name: one line per addition, each a module with a `Venue` (live_bridge/venues/base.py)."""

from importlib import import_module
from typing import Any, Final

VENUES: Final[dict[str, str]] = {
    "paper": "live_bridge.venues.paper:PaperVenue",
}


def venue_class(name: str) -> Any:
    """Return the class of the venue `name`; ValueError names the valid ones."""
    if name not in VENUES:
        raise ValueError(f"venue {name!r} is not one of {sorted(VENUES)}")
    module, attribute = VENUES[name].split(":")
    return getattr(import_module(module), attribute)
