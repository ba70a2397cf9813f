"""What can go wrong between us and the store, as sentences."""


class WarehouseError(Exception):
    """The store cannot do what was asked; the message says what and, where known, what would work."""


class WarehouseLockedError(WarehouseError):
    """Another process has the embedded warehouse open; the engine allows one process for each directory."""


class QueryError(WarehouseError):
    """A named query or one of its parameters is unknown, missing or not of its type."""
