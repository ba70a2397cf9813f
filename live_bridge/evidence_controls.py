"""The controls that a regulated desk must be able to show, one row each: rule, settings, traces, tests.

A trace is what a control leaves in the journal when it acts: `risk:REASON` a refusal of the gate, `refusal:REASON` a
decision that was not made, `alert:CODE`, `command:NAME`, and record types by their names in the journal. Rules stand
by article, not quoted; which of them bind a firm is for its counsel to say.

Source: Commission Delegated Regulations (EU) 2017/589 (RTS 6) and 2017/574 (RTS 25); 17 CFR 240.15c3-5.
"""

from typing import Final, NamedTuple

RTS_6_12: Final = "MiFID II RTS 6 art. 12"
RTS_6_15: Final = "MiFID II RTS 6 art. 15"
RTS_6_16: Final = "MiFID II RTS 6 art. 16"
RTS_6_17: Final = "MiFID II RTS 6 art. 17"
RTS_25: Final = "MiFID II RTS 25"
SEC_CREDIT: Final = "SEC 15c3-5 (c)(1), credit and capital"
SEC_ERROR: Final = "SEC 15c3-5 (c)(1), erroneous orders"
SEC_ENTRY: Final = "SEC 15c3-5 (c)(2)"
SEC_EXCLUSIVE: Final = "SEC 15c3-5, direct and exclusive control"

_BOUNDARY: Final = (
    "tests/unit/test_risk_boundaries.py::test_one_unit_inside_passes_and_one_outside_is_refused_with_the_checks_reason"
)
_ORACLE: Final = (
    "tests/property/test_risk_gate.py::test_kernel_and_oracle_agree_and_nothing_accepted_can_leave_its_limits"
)
_GUARDS: Final = "tests/unit/test_live_guards.py::"
_POSITION: Final = "tests/unit/test_live_position_controls.py::"
_PORTFOLIO: Final = "tests/unit/test_live_portfolio_controls.py::"


class Control(NamedTuple):
    """A control and where to look for it."""

    name: str
    rules: tuple[str, ...]
    what: str
    settings: tuple[str, ...]  # names of limits (all three scopes), breaker limits or fields of the configuration
    traces: tuple[str, ...]
    tests: tuple[str, ...]


def _checked(
    name: str, rules: tuple[str, ...], what: str, settings: tuple[str, ...], reasons: tuple[str, ...]
) -> Control:
    """Return a control that is checks of the gate: judged at its boundary and against the oracle."""
    return Control(name, rules, what, settings, tuple(f"risk:{reason}" for reason in reasons), (_BOUNDARY, _ORACLE))


CONTROLS: Final = (
    Control(
        "kill functionality",
        (RTS_6_12,),
        "One command cancels every order, unacknowledged ones too, and halts until a person resumes; the venue is "
        "asked, and the answer is said aloud.",
        (),
        ("command:KILL", "alert:KILL_CONFIRMED", "alert:KILL_NOT_CONFIRMED"),
        (
            "tests/property/test_kill_whole_core.py::test_after_a_kill_only_what_reduces_leaves_whatever_happens_until_"
            "a_person_re_enables_with_confirmation",
            "tests/property/test_kill_at_the_gate.py::"
            "test_in_every_state_of_every_scope_only_what_the_states_allow_passes_and_after_a_kill_no_more",
            "tests/integration/test_paper_session.py::"
            "test_a_resume_after_a_kill_asks_the_venue_first_and_is_refused_while_an_order_is_open_there",
            _GUARDS + "test_a_kill_is_confirmed_when_the_venue_holds_nothing_and_said_loudly_when_it_does",
            "tests/integration/test_grpc_server.py::test_kill_halts_the_session_and_leaves_no_order_open",
        ),
    ),
    _checked(
        "price collars",
        (RTS_6_15, SEC_ERROR),
        "A price must be near the touch and near a reference price that the touch cannot have moved just now.",
        ("collar_tick", "collar_bps", "reference_collar_tick", "reference_collar_bps"),
        ("PRICE_COLLAR", "REFERENCE_COLLAR"),
    ),
    _checked(
        "maximum order value",
        (RTS_6_15, SEC_ERROR),
        "Price times quantity of one order, for strategy, venue and firm.",
        ("max_order_value_e8",),
        ("MAX_ORDER_VALUE",),
    ),
    _checked(
        "maximum order volume",
        (RTS_6_15, SEC_ERROR),
        "Quantity of one order: the instrument's, and those of strategy, venue and firm.",
        ("max_lots", "max_order_lots"),
        ("MAX_LOTS", "MAX_ORDER_LOTS"),
    ),
    _checked(
        "maximum messages",
        (RTS_6_15,),
        "New orders and replaces within a window, and orders open at once.",
        ("max_messages", "rate_window_ns", "max_open_orders"),
        ("MESSAGE_RATE", "MAX_OPEN_ORDERS"),
    ),
    Control(
        "repeated-execution throttle",
        (RTS_6_15,),
        "After so many executed orders in a row nothing but reducing orders leaves until a person re-enables.",
        ("max_repeats",),
        ("risk:THROTTLED", "alert:BREAKER_REPEATS"),
        (_BOUNDARY, _GUARDS + "test_too_many_executions_in_a_row_throttle_until_a_person_resumes"),
    ),
    _checked(
        "position and exposure limits",
        (RTS_6_15, SEC_CREDIT),
        "Loss budget, position, leverage and concentration, with open and unknown orders filled the worst way.",
        (
            "capital_e8",
            "max_loss_bps",
            "max_position_lots",
            "max_position_bps",
            "max_leverage_bps",
            "max_group_bps",
        ),
        ("LOSS_BUDGET", "MAX_POSITION", "LEVERAGE", "CONCENTRATION", "NO_MARK"),
    ),
    _checked(
        "duplicate orders and self-trades",
        (SEC_ERROR, SEC_ENTRY),
        "No order like one that is live, and none that would meet an order of our own.",
        (),
        ("DUPLICATE_INTENT", "SELF_TRADE"),
    ),
    _checked(
        "what may be traded, and how",
        (RTS_6_15, SEC_ENTRY),
        "Instrument known and tradable; price and quantity steps; smallest quantity and value.",
        ("tradable", "price_step_tick", "lot_step", "min_lots", "min_notional_e8"),
        ("NOT_TRADABLE", "PRICE_STEP", "LOT_STEP", "MIN_LOTS", "MIN_NOTIONAL"),
    ),
    Control(
        "market data that may be traded on",
        (RTS_6_15, SEC_ERROR),
        "Stale, gapped, crossed or empty books and missing words refuse decisions and orders.",
        ("max_age_ns",),
        (
            "risk:INVALID_BOOK",
            "risk:STALE_DATA",
            "risk:BAD_INPUT",
            "refusal:STALE_BOOK",
            "refusal:GAPPED_BOOK",
            "refusal:CROSSED_BOOK",
            "refusal:EMPTY_BOOK",
        ),
        (
            _BOUNDARY,
            "tests/property/test_risk_gate.py::"
            "test_a_word_that_is_missing_or_not_finite_anywhere_refuses_every_new_order_and_no_cancel",
        ),
    ),
    Control(
        "trading states",
        (RTS_6_12, RTS_6_15),
        "Halted and reduce-only hold for every order; a reduce-only order cannot go through zero.",
        (),
        ("risk:HALTED", "risk:REDUCE_ONLY", "state_change", "command:REDUCE_ONLY", "command:RESUME", "command:FLATTEN"),
        (
            "tests/property/test_risk_states.py::"
            "test_after_a_kill_nothing_but_reducing_orders_and_cancels_passes_the_gate_in_every_state",
            "tests/property/test_risk_states.py::test_only_a_persons_resume_leads_to_active",
        ),
    ),
    Control(
        "circuit breakers and alerts",
        (RTS_6_16,),
        "Breakers open on a price spike, a storm of rejects, latency, silence and a model that refuses; an alert is "
        "written in the same step as the event that caused it.",
        ("breakers", "max_refusals"),
        (
            "alert",
            "alert:BREAKER_PRICE_SPIKE",
            "alert:BREAKER_REJECT_STORM",
            "alert:BREAKER_LATENCY",
            "alert:BREAKER_DISCONNECT",
        ),
        (
            _GUARDS + "test_a_price_spike_pulls_the_quotes_and_only_reducing_orders_pass_until_a_person_resumes",
            _GUARDS + "test_a_storm_of_rejects_opens_a_breaker_and_quotes_that_would_cross_do_not_count",
            "tests/property/test_risk_states.py::test_an_open_breaker_stays_open_whatever_follows",
        ),
    ),
    Control(
        "position stops",
        (RTS_6_15,),
        "Fixed, trailing, volatility and time stops close a position with reduce-only orders; a stop is on record with "
        "its reason.",
        ("controls",),
        ("stop:FIXED", "stop:TRAILING", "stop:VOLATILITY", "stop:TIME"),
        (
            _POSITION + "test_each_stop_fires_at_its_distance_says_so_once_and_closes_with_a_reduce_only_order",
            "tests/integration/test_paper_controls.py::"
            "test_each_stop_acts_in_a_paper_session_and_only_reduce_only_orders_close",
        ),
    ),
    Control(
        "inventory bounds and sizing",
        (RTS_6_15,),
        "Quotes are cut to the session's own bounds, to caps and to a volatility target; never made larger.",
        ("controls", "inventory_cap_lots"),
        ("cut:INVENTORY", "cut:VOLATILITY", "cut:CAPS"),
        (
            _POSITION + "test_what_is_cut_is_never_larger_keeps_steps_and_bounds_and_never_holds_back_a_close",
            _POSITION + "test_inventory_bounds_cut_the_quote_that_could_leave_them_and_no_other",
        ),
    ),
    Control(
        "portfolio limits",
        (RTS_6_15, SEC_CREDIT),
        "VaR and ES, exposure, correlation, drawdown and daily loss; a breach, or numbers that are missing for longer "
        "than the grace, restricts or halts until a person resumes.",
        ("controls", "capital_e8"),
        (
            "portfolio_risk",
            "hedge_suggestion",
            "alert:PORTFOLIO_VAR",
            "alert:PORTFOLIO_ES",
            "alert:EXPOSURE_GROSS",
            "alert:EXPOSURE_NET",
            "alert:EXPOSURE_POSITION",
            "alert:EXPOSURE_CONCENTRATION",
            "alert:CORRELATION",
            "alert:DRAWDOWN",
            "alert:DAILY_LOSS",
            "alert:EQUITY_LOST",
            "alert:PORTFOLIO_UNKNOWN",
        ),
        (
            _PORTFOLIO + "test_each_limit_leads_to_what_is_configured_for_it",
            _PORTFOLIO + "test_a_holding_without_a_number_restricts_after_the_grace_and_names_the_asset",
            "tests/integration/test_paper_controls.py::"
            "test_each_portfolio_limit_acts_in_a_paper_session_and_evidence_shows_it",
        ),
    ),
    Control(
        "reconciliation",
        (RTS_6_17,),
        "Position, cash, fees and open orders beside the venue's own; a difference leaves only reducing orders.",
        (),
        ("reconciled", "alert:NOT_RECONCILED"),
        (
            "tests/integration/test_paper_session.py::"
            "test_journal_ledger_venue_ledger_and_running_account_agree_to_the_integer",
            "tests/unit/test_live_core.py::"
            "test_after_a_restart_nothing_leaves_before_the_venue_agrees_and_a_difference_means_reduce_only",
        ),
    ),
    Control(
        "order records with both clocks",
        (RTS_25,),
        "Every event carries the venue's time and our own; the records are chained, so none can be changed unseen.",
        ("event_epoch_ns",),
        ("order_ack", "fill", "new_intent", "cancel_intent"),
        (
            "tests/property/test_live_orders.py::test_every_kind_of_record_survives_the_journal_field_by_field",
            "tests/property/test_journal.py::"
            "test_any_flipped_byte_before_the_last_record_is_detected_and_refuses_to_open",
        ),
    ),
    Control(
        "controls in our own hands",
        (SEC_EXCLUSIVE,),
        "Every order passes the gate inside the single writer; limits change only by a named person, on record.",
        (),
        ("limits_change", "alert:LIMITS_CHANGED", "alert:LIMITS_REFUSED", "control"),
        (
            "tests/integration/test_grpc_server.py::"
            "test_limits_change_while_the_session_runs_on_record_and_the_journal_replays",
            _GUARDS + "test_a_change_that_is_wrong_is_refused_whole_and_says_why",
        ),
    ),
)
