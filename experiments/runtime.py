"""Process-wide settings of JAX; call `configure_jax` before anything imports it."""

import os
import sys

from experiments.home import home


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def configure_jax(devices: int | None = None) -> None:
    """Give the CPU platform one virtual device a core and turn the persistent compilation cache on.

    Settings of the user (XLA_FLAGS, JAX_COMPILATION_CACHE_DIR) win. Raises RuntimeError if JAX was imported before.
    """
    if "jax" in sys.modules:
        raise RuntimeError("configure_jax was called after jax had been imported: it would have no effect")
    flag = "--xla_force_host_platform_device_count"
    if flag not in os.environ.get("XLA_FLAGS", ""):
        count = devices or usable_cores()
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}={count}".strip()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(home() / "cache" / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
