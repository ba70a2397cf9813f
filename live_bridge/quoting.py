"""From a book event to a plan of quotes: the checks that refuse, the features, the policy, the target.

The path is the simulator's, function by function (kernels/features, kernels/execution/quotes), so that a policy sees
and does the same here. Nothing is coerced: what is odd refuses with a typed reason.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernels.execution.quotes import NUM_ACTIONS, QuoteLimits, QuotePlan, plan_quotes, target_quotes
from kernels.features.columns import AccountView, columns
from kernels.features.market import History, advance_history, elapsed_us, start_history, strip_own
from kernels.features.normalise import normalise
from kernels.lob import spec
from live_bridge.core_state import CoreConfig, Turn
from live_bridge.orders import UNDER_WAY
from live_bridge.policy import NonFiniteError, Policy, PolicyAnswer
from live_bridge.position_control import cut
from live_bridge.types import BookEvent, Decision, RefusalReason

NS_PER_S = 1_000_000_000


class Refused(NamedTuple):
    """Why there is no decision."""

    reason: RefusalReason
    detail: str


class Planned(NamedTuple):
    """A decision and what has to change at the venue for it."""

    decision: Decision
    plan: QuotePlan


def check_book(config: CoreConfig, book: BookEvent, max_age_ns: int) -> Refused | None:
    """Return why a book must not be traded on, or None."""
    odd = _check_shape(config, book)
    if odd is not None:
        return odd
    age_ns = book.now_ns - book.event_ns
    if book.gap:
        return Refused(RefusalReason.GAPPED_BOOK, f"feed sequence {book.feed_sequence}")
    if not 0 <= age_ns <= max_age_ns:
        return Refused(RefusalReason.STALE_BOOK, f"book is {age_ns} ns old, limit {max_age_ns}")
    if book.depth[spec.BUY, 0, 1] <= 0 or book.depth[spec.SELL, 0, 1] <= 0:
        return Refused(RefusalReason.EMPTY_BOOK, "a side has no level")
    if book.depth[spec.BUY, 0, 0] >= book.depth[spec.SELL, 0, 0]:
        return Refused(RefusalReason.CROSSED_BOOK, f"bid {book.depth[0, 0, 0]}, ask {book.depth[1, 0, 0]}")
    return None


def _check_shape(config: CoreConfig, book: BookEvent) -> Refused | None:
    shapes = (book.depth.shape, book.summary.shape, book.own.shape)
    expected = ((2, config.depth_levels, 2), (spec.NUM_SUMMARY,), (2, spec.NUM_OWN_COLUMNS))
    if shapes != expected:
        return Refused(RefusalReason.BAD_SHAPE, f"depth, summary, own are {shapes}, expected {expected}")
    if book.instrument != 0:
        return Refused(RefusalReason.BAD_SHAPE, f"instrument {book.instrument} is not one of this session's")
    return None


def next_history(history: History | None, before: BookEvent | None, book: BookEvent) -> History:
    """Return the feature memory after `book`, which passed `check_book`; `before` is the book before it."""
    if history is None or before is None:
        return start_history(np, strip_own(np, book.depth, book.own))
    elapsed = elapsed_us(np, _clock(before.event_ns), _clock(book.event_ns))
    return advance_history(np, history, strip_own(np, book.depth, book.own), book.summary, elapsed)


def decide(
    config: CoreConfig, policy: Policy, turn: Turn, book: BookEvent, history: History, mark: Callable[[str], None]
) -> Planned | Refused:
    """Ask the policy and turn its action into changes of our quotes. `history` is already that of `book`."""
    if config.event_epoch_ns + book.now_ns >= config.expires_ns:
        return Refused(RefusalReason.EXPIRED_ARTIFACT, f"expired at {config.expires_ns}")
    pending = np.zeros(2, np.int32) if book.advice else _pending(turn, book)
    inventory = np.int32(np.clip(turn.account.position_lots, -spec.MAX_LOTS, spec.MAX_LOTS))
    view = AccountView(inventory, np.int32(config.inventory_cap_lots), np.int32(_steps_left(config, turn)), pending)
    cols = columns(np, book.depth, book.summary, history, book.own, view)
    obs = normalise(np, cols, policy.normaliser)
    mark("features")
    answer = _ask(config, policy, obs)
    mark("policy")
    if isinstance(answer, Refused):
        return answer
    limits = QuoteLimits(np.int32(config.quote_lots), np.int32(config.inventory_cap_lots))
    target = target_quotes(np, np.int32(answer.action), strip_own(np, book.depth, book.own), inventory, limits)
    plan = plan_quotes(np, cut(config, turn, target, book), book.own, pending)
    mark("quotes")
    decision = Decision(
        instrument=book.instrument,
        decision_number=0 if book.advice else turn.decisions + 1,
        event_ns=book.event_ns,
        action=answer.action,
        bid_price_tick=int(target.price_tick[spec.BUY]),
        bid_lots=int(target.lots[spec.BUY]),
        ask_price_tick=int(target.price_tick[spec.SELL]),
        ask_lots=int(target.lots[spec.SELL]),
        disagreement=answer.disagreement,
        advice=book.advice,
    )
    return Planned(decision, plan)


def _ask(config: CoreConfig, policy: Policy, obs: np.ndarray) -> PolicyAnswer | Refused:
    if not np.isfinite(obs).all():
        return Refused(RefusalReason.NON_FINITE, f"feature {int(np.flatnonzero(~np.isfinite(obs))[0])}")
    try:
        answer = policy.act(obs)
    except NonFiniteError as error:
        return Refused(RefusalReason.NON_FINITE, str(error))
    if not np.isfinite(answer.disagreement):
        return Refused(RefusalReason.NON_FINITE, "the members' disagreement is not finite")
    if not isinstance(answer.action, int) or not 0 <= answer.action < NUM_ACTIONS:
        return Refused(RefusalReason.BAD_ACTION, f"action {answer.action!r} is outside 0..{NUM_ACTIONS - 1}")
    if answer.disagreement > config.disagreement_limit:
        return Refused(
            RefusalReason.DISAGREEMENT, f"{answer.disagreement:.6f} above the limit {config.disagreement_limit:.6f}"
        )
    return answer


def _pending(turn: Turn, book: BookEvent) -> np.ndarray:
    """Return int32[2]: 1 where a message of ours is under way, or where our orders and the venue's view differ."""
    resting = [0, 0]
    pending = np.zeros(2, np.int32)
    for order in turn.live_orders():
        if order.state in UNDER_WAY:
            pending[order.side] = 1
        else:
            resting[order.side] = 1
    seen = (book.own[:, spec.OWN_PRESENT] > 0).astype(np.int32)
    return np.where(seen != np.array(resting, np.int32), np.int32(1), pending)


def _steps_left(config: CoreConfig, turn: Turn) -> int:
    """Decisions left as in training; a session longer than an episode counts down only its last episode's worth."""
    if config.session_steps == 0:
        return config.episode_steps
    done = turn.decisions + turn.refusals
    return min(max(config.session_steps - done, 1), config.episode_steps)


def _clock(event_ns: int) -> tuple[int, int]:
    return divmod(event_ns, NS_PER_S)
