"""Checkpoints of the complete training state, written by orbax in the background, and what they must agree with."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from agents.train_config import GROUPS, TrainConfig
from sim.vector import describe_actions

CHECKPOINT_DIR = "checkpoints"
KEPT = 2
_STATE, _META = "state", "meta"
_log = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be continued; the message names the directory and the key or leaf that differs."""


class Restored(NamedTuple):
    """A training state read back."""

    update: int
    state: Any


class Checkpoints:
    """The checkpoints of one run: the newest two, complete ones only.

    A save copies the state and returns while it is written; the directory gets its final name when all is on disk, so a
    save that was cut off leaves a name that is ignored.
    """

    def __init__(self, run_dir: Path) -> None:
        self.directory = (Path(run_dir) / CHECKPOINT_DIR).absolute()
        options = ocp.CheckpointManagerOptions(max_to_keep=KEPT, create=True, cleanup_tmp_directories=True)
        self._manager = ocp.CheckpointManager(self.directory, options=options, item_names=(_STATE, _META))

    def save(self, update: int, state: Any, agreement: dict[str, Any]) -> None:
        """Start writing the state after `update` updates, with the values a later run must agree with."""
        if update in self._manager.all_steps():
            return
        # The next update is given the state's buffers to write into: what is saved must be a copy.
        arrays = jax.tree.map(jnp.copy, _storable(state))
        meta = {"agreement": agreement, "leaves": _describe(arrays)}
        args = ocp.args.Composite(**{_STATE: ocp.args.StandardSave(arrays), _META: ocp.args.JsonSave(meta)})
        self._manager.save(update, args=args)

    def restore(self, target: Any, shardings: Any, agreement: dict[str, Any]) -> Restored | None:
        """Read the newest checkpoint that is whole; None when there is none.

        `target` is an abstract state (shapes and dtypes), `shardings` has its structure. Raises CheckpointError when
        the values of `agreement` or the leaves differ from what was saved, naming the first that does, and when there
        are checkpoints but none can be read.
        """
        failures = []
        for update in sorted(self._manager.all_steps(), reverse=True):
            directory = self.directory / str(update)
            try:
                meta = self._manager.restore(update, args=ocp.args.Composite(**{_META: ocp.args.JsonRestore()}))[_META]
                _check(agreement, meta["agreement"], meta["leaves"], target, directory)
                state = self._read(update, target, shardings)
            except CheckpointError:
                raise
            except Exception as error:  # orbax raises many kinds for a damaged directory; the next older one may do
                failures.append((directory, error))
                continue
            self._set_aside([path for path, _ in failures])
            return Restored(update, state)
        if failures:
            listed = "; ".join(f"{path}: {error}" for path, error in failures)
            raise CheckpointError(f"no checkpoint can be read: {listed}. Start again in another directory")
        return None

    def updates(self) -> list[int]:
        """Return the updates that there are checkpoints of, oldest first."""
        return sorted(self._manager.all_steps())

    def wait(self) -> None:
        """Block until every save is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait for saves under way and release the writer."""
        self._manager.close()

    def _read(self, update: int, target: Any, shardings: Any) -> Any:
        places = dict(zip(_names(target), jax.tree.leaves(shardings), strict=True))
        abstract = {
            name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=places[name])
            for name, leaf in _abstract(target).items()
        }
        args = ocp.args.Composite(**{_STATE: ocp.args.StandardRestore(abstract)})
        arrays = self._manager.restore(update, args=args)[_STATE]
        impls = _key_impls(target)
        leaves = [
            _from_array(arrays.get(name), leaf, impls.get(name), places[name])
            for name, leaf in zip(_names(target), jax.tree.leaves(target), strict=True)
        ]
        return jax.tree.unflatten(jax.tree.structure(target), leaves)

    def _set_aside(self, damaged: list[Path]) -> None:
        """Rename damaged checkpoints: the run will come past their update again and save it anew."""
        for path in damaged:
            _log.warning("checkpoint %s is damaged; continuing from an older one", path)
            path.rename(path.with_name(f"{path.name}.damaged"))
        if damaged:
            self._manager.reload()


def agreement(config: TrainConfig, env: Any, env_params: Any) -> dict[str, Any]:
    """Return, by key, what a run and its continuation must have in common: configuration, environment, parameters.

    Arrays among the environment's parameters count by their digest. How often checkpoints are written, and on how many
    devices the run works, is free.
    """
    plain = json.loads(json.dumps(dataclasses.asdict(config)))
    unread = {name for groups in GROUPS.values() for name in groups} - set(GROUPS[config.algorithm])
    unread |= set() if config.pbt.every_updates else {"pbt"}
    for name in ("checkpoint_every", "num_devices", *unread):
        del plain[name]
    values = _flatten(plain, "")
    values["env"] = f"{type(env).__qualname__} with {env.obs_dim} features and {describe_actions(env)}"
    for path, leaf in jax.tree_util.tree_flatten_with_path(env_params)[0]:
        array = np.asarray(leaf)
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        values[f"env_params.{name}"] = array.item() if array.ndim == 0 else f"{array.shape} {digest}"
    return values


def _flatten(value: Any, prefix: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    parts = [_flatten(item, f"{prefix}.{key}" if prefix else key) for key, item in value.items()]
    return {key: item for part in parts for key, item in part.items()}


def _check(wanted: dict[str, Any], saved: dict[str, Any], leaves: dict[str, Any], target: Any, directory: Path) -> None:
    for key in sorted({*wanted, *saved}):
        if wanted.get(key) != saved.get(key):
            before, now = saved.get(key, "absent"), wanted.get(key, "absent")
            raise CheckpointError(
                f"{directory}: key '{key}' was {before}, now {now}; a run continues with its own values"
            )
    now = _describe(_abstract(target))
    for name in sorted({*now, *leaves}):
        if now.get(name) != leaves.get(name):
            raise CheckpointError(f"{directory}: leaf '{name}' was {leaves.get(name)}, now {now.get(name)}")


def _describe(arrays: dict[str, Any]) -> dict[str, str]:
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in arrays.items()}


def _names(tree: Any) -> list[str]:
    return [
        jax.tree_util.keystr(path, simple=True, separator="-")
        for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]
    ]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_array(leaf: jax.Array) -> jax.Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _key_impls(target: Any) -> dict[str, Any]:
    """Generator of every leaf that is a key; it can be asked of a traced key, not of a shape."""
    impls: dict[str, Any] = {}

    def note(tree: Any) -> int:
        keys = [(name, leaf) for name, leaf in zip(_names(tree), jax.tree.leaves(tree), strict=True) if _is_key(leaf)]
        impls.update({name: jax.random.key_impl(leaf) for name, leaf in keys})
        return 0

    jax.eval_shape(note, target)
    return impls


def _from_array(array: jax.Array | None, like: Any, impl: Any, sharding: Any) -> jax.Array:
    """Return the stored array in the form of the abstract leaf `like`; a leaf without elements was not stored."""
    if array is None:
        return jax.device_put(jnp.zeros(like.shape, like.dtype), sharding)
    return array if impl is None else jax.random.wrap_key_data(array, impl=impl)


def _storable(state: Any) -> dict[str, jax.Array]:
    """Return the state's leaves as plain arrays by path; orbax stores no array without elements."""
    arrays = zip(_names(state), map(_to_array, jax.tree.leaves(state)), strict=True)
    return {name: leaf for name, leaf in arrays if leaf.size > 0}


def _abstract(target: Any) -> dict[str, Any]:
    return jax.eval_shape(_storable, target)
