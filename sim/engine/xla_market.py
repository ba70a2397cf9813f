"""The market step in JAX: background flow, agents' messages under way, the book. Semantics: docs/engine.md.

One turn of the loop applies at most one message: the next that is due from the inbox, else the flow's next event. A
batch of markets therefore turns as often as its busiest market has draws and served messages together; markets that are
done wait.
"""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from kernels.lob import spec
from market_models.flow import Flow
from sim.engine import xla_book, xla_inbox, xla_match, xla_message, xla_tally, xla_view
from sim.engine.types import MarketConfig, MarketOutput, MarketState
from sim.engine.xla_book import SortedBook
from sim.engine.xla_inbox import Time

MarketStep = Callable[..., tuple[MarketState, MarketOutput]]
Sampler = Callable[..., tuple[jax.Array, jax.Array, jax.Array, jax.Array]]

_ENTERING = (spec.LIMIT, spec.MARKET, spec.IOC, spec.FOK, spec.POST_ONLY)


class Turn(NamedTuple):
    """What the loop carries."""

    book: SortedBook
    log: xla_match.FillLog
    tally: xla_tally.Tally
    inbox: jax.Array  # int32[I, 8]
    meta: jax.Array  # int32[8]
    events: jax.Array  # int32[] background events so far
    serving: jax.Array  # bool[] an event happened and due messages follow it
    ended: jax.Array  # bool[] exhausted or past the time horizon
    exhausted: jax.Array  # bool[]


class Drawn(NamedTuple):
    """The flow's answer and what it means."""

    meta: jax.Array  # int32[8] afterwards
    msg: jax.Array  # int32[8]
    is_event: jax.Array  # bool[]
    ended: jax.Array  # bool[]
    exhausted: jax.Array  # bool[]


def resolve_sampler(flow: Flow) -> Sampler:
    """Return the function that `flow.xla_sampler_path` names, or raise ValueError."""
    module, _, name = flow.xla_sampler_path.partition(":")
    try:
        sampler = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        path = flow.xla_sampler_path
        raise ValueError(f"flow {flow.name!r}: xla_sampler_path {path!r} is not MODULE:FUNCTION ({error})") from error
    return sampler


def make_market_step(config: MarketConfig, flow: Flow) -> MarketStep:
    """Return `step(state, agent_messages[K, 8], flow_params[P], background[H, 8], horizon[2])` of one market."""
    spec.validate_config(config.lob)
    sampler = resolve_sampler(flow)
    lob = config.lob._replace(fills_mode=spec.FILLS_OWNED)

    def step(
        state: MarketState,
        agent_messages: jax.Array,
        flow_params: jax.Array,
        background: jax.Array,
        horizon: jax.Array,
    ) -> tuple[MarketState, MarketOutput]:
        start = _start(config, state, agent_messages, flow_params, background, horizon)
        end = xla_inbox.add_us(xla_inbox.clock(start.meta), jnp.maximum(horizon[1], 0))

        def runs(turn: Turn) -> jax.Array:
            return ~turn.ended & ((turn.events < horizon[0]) | _serves(turn))

        def advance(turn: Turn) -> Turn:
            drawn = _draw(sampler, turn, flow_params, background, state.seed, end, horizon[1] > 0)
            return _advance(turn, drawn, lob)

        return _finish(config, state, lax.while_loop(runs, advance, start))

    return step


def _start(config: MarketConfig, state: MarketState, agent_messages: jax.Array, *inputs: jax.Array) -> Turn:
    zero = xla_book.zero_of(state, agent_messages, *inputs)
    meta = xla_inbox.set_word(state.meta, spec.META_CURSOR, zero)
    inbox, meta = xla_inbox.accept(state.inbox + zero, meta, agent_messages)
    false = zero != 0
    return Turn(
        book=xla_book.from_book(state.book, zero),
        log=xla_match.empty_log(config.lob.max_fills, zero),
        tally=xla_tally.start_tally(jnp.asarray(state.book.counters, jnp.int32), zero),
        inbox=inbox,
        meta=meta,
        events=zero,
        serving=false,
        ended=false,
        exhausted=false,
    )


def _serves(turn: Turn) -> jax.Array:
    return turn.serving & xla_inbox.is_due(turn.inbox, turn.meta)


def _draw(
    sampler: Sampler,
    turn: Turn,
    flow_params: jax.Array,
    background: jax.Array,
    seed: jax.Array,
    end: Time,
    is_limited: jax.Array,
) -> Drawn:
    """Ask the flow for the next event; a batch asks even where a message is served, and then forgets the answer."""
    _, lots, order_id, owner = turn.book.orders
    before = xla_inbox.set_word(turn.meta, spec.META_DRAW, turn.meta[spec.META_DRAW] + 1)
    status, dt_us, msg, meta = sampler(
        flow_params,
        background,
        xla_book.to_prices(turn.book),
        lots,
        order_id,
        owner,
        turn.book.num_orders,
        before,
        seed,
    )
    time = xla_inbox.add_us(xla_inbox.clock(meta), dt_us)
    exhausted = status == spec.FLOW_EXHAUSTED
    late = ~exhausted & is_limited & xla_inbox.is_after(time, end)
    is_event = ~exhausted & ~late & (status == spec.FLOW_EVENT)
    msg, meta = _identify(msg, meta, is_event)
    after = jnp.where(late, xla_inbox.set_clock(before, end), xla_inbox.set_clock(meta, time))
    return Drawn(jnp.where(exhausted, before, after), msg, is_event, exhausted | late, exhausted)


def _identify(msg: jax.Array, meta: jax.Array, is_event: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Make the message the background's and number it where the sampler left that to the step."""
    enters = sum((msg[spec.KIND] == kind).astype(jnp.int32) for kind in _ENTERING) > 0
    numbered = is_event & enters & (msg[spec.ORDER_ID] == 0)
    next_id = meta[spec.META_NEXT_ORDER_ID]
    following = jnp.where(next_id + 1 < spec.FIRST_AGENT_ORDER_ID, next_id + 1, 1)
    meta = jnp.where(numbered, xla_inbox.set_word(meta, spec.META_NEXT_ORDER_ID, following), meta)
    word = jnp.arange(spec.NUM_MESSAGE_COLUMNS)
    msg = jnp.where((word == spec.ORDER_ID) & numbered, next_id, msg)
    return jnp.where(word == spec.OWNER, 0, msg), meta


def _advance(turn: Turn, drawn: Drawn, config: spec.LobConfig) -> Turn:
    """Apply the message that is due, else the event drawn; a thinned proposal only moves the clock."""
    serves = _serves(turn)
    row = jnp.where(serves, turn.inbox[0], drawn.msg)
    ordinal = jnp.where(serves, turn.events - 1, turn.events)
    inbox, meta = xla_inbox.drop_first(turn.inbox, jnp.where(serves, turn.meta, drawn.meta), serves)
    terms = xla_match.Terms(ordinal, meta[spec.META_REFERENCE_TICK], config)
    happens = serves | drawn.is_event

    def apply() -> tuple[SortedBook, xla_match.FillLog, xla_tally.Tally]:
        tally = xla_tally.observe(turn.tally, turn.book)
        book, log, effect = xla_message.apply(turn.book, tally.best_key, xla_message.read(row), turn.log, terms)
        return book, log, xla_tally.count(tally, effect)

    book, log, tally = lax.cond(happens, apply, lambda: (turn.book, turn.log, turn.tally))
    return Turn(
        book=book,
        log=log,
        tally=tally,
        inbox=inbox,
        meta=meta,
        events=turn.events + (~serves & drawn.is_event),
        serving=happens,
        ended=~serves & drawn.ended,
        exhausted=~serves & drawn.exhausted,
    )


def _finish(config: MarketConfig, state: MarketState, turn: Turn) -> tuple[MarketState, MarketOutput]:
    tally = xla_tally.observe(turn.tally, turn.book)
    output = MarketOutput(
        fills=xla_match.finish_log(turn.log),
        num_fills=turn.log.num_fills,
        summary=xla_tally.summarise(tally, turn.log, turn.events, turn.exhausted),
        depth=xla_view.depth(turn.book, config.lob.depth_levels),
        own=xla_view.own_orders(turn.book, config.num_learners),
    )
    book = xla_book.to_book(turn.book, xla_tally.counters(tally, turn.log))
    return MarketState(book, turn.inbox, turn.meta, state.seed), output
