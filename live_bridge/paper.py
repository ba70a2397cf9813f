"""A whole paper session: recorded data through the real bridge and the paper venue.

Session directory: `journal/` (the bridge's record) and `venue/` (the paper venue's own ledger). Running again over the
same directory continues where the last process ended, however it ended.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic, time_ns
from typing import Any

from kernels.risk.spec import RiskLimits
from live_bridge.accounts import tick_value_e8
from live_bridge.controls import ControlsConfig
from live_bridge.core_state import MAX_CAPITAL_E8, NO_CONTROLS, CoreConfig
from live_bridge.evidence import tally
from live_bridge.ledgers import ledger_from_journal, ledger_from_venue
from live_bridge.loading import load_market, load_policy, recorded_day_ns
from live_bridge.policy import Policy
from live_bridge.session import Session, SessionConfig, SessionFailedError
from live_bridge.venues.paper import PaperMarketData, PaperVenue, PaperVenueConfig
from market_models.fees import Fees
from market_models.instrument import MONEY_SCALE
from market_models.latency import ConstantLatency

VENUE_DIRECTORY = "venue"


@dataclass(frozen=True)
class PaperConfig:
    """A paper session. Give `artifact` or `policy`, and `data` or `market`. None: what the artifact says."""

    directory: Path  # of the session
    data: Path | None = None  # a LOBSTER recording
    market: PaperMarketData | None = None
    artifact: Path | None = None
    policy: Policy | None = None
    trusted_keys: Path | None = None  # of the artifact's signature; None: $BOOKSWARM_HOME/keys
    from_s: int | None = None  # seconds since midnight: the session's part of the recording
    to_s: int | None = None
    max_decisions: int | None = None  # end the session after so many
    speed: float | None = None  # times recorded time; None: as fast as it goes
    instance: str = "paper"
    run_id: str = "paper"
    strategy: str = "ensemble"
    fsync: str = "intents"  # of the bridge's journal
    venue_fsync: str = "never"  # of the paper venue's ledger: `kill -9` loses nothing, a power failure may
    horizon_events: int | None = None
    latency_ns: int | None = None  # decision to venue
    episode_steps: int | None = None  # decisions of a training episode: how far ahead the policy counts down
    quote_lots: int | None = None
    inventory_cap_lots: int | None = None
    fees: Fees | None = None
    limits: RiskLimits | None = None  # the gate's; None: derived from the quoting limits
    controls: ControlsConfig = NO_CONTROLS  # stops, bounds, portfolio limits
    capital_e8: int | None = None  # equity without profit and loss; None: twenty times the inventory cap's value
    close_decisions: int = 0  # flatten the position so many decisions before the end of the data
    max_refusals: int = 50
    capacity: int = 128
    backend: str = "cpu"  # of the matching engine: "cpu" or "oracle"
    snapshot_records: int = 20_000
    segment_bytes: int = 64 * 2**20


@dataclass
class PaperSession:
    """An open session and its venue, for callers that serve it over gRPC while it runs."""

    config: PaperConfig
    session: Session
    venue: PaperVenue
    data: PaperMarketData

    def run(self) -> None:
        """Start, run to the end, drain. SessionFailedError where it could not be left in order, and KeyboardInterrupt
        after a drain that SIGINT asked for.
        """
        pace = None if self.config.speed is None else _Pace(self.config.speed)
        with _signals_drain(self.session):
            self.session.start()
            self.session.run(pace, self._closing if self.config.close_decisions else None)

    def _closing(self) -> bool:
        left = len(self.data.background) - self.venue.cursor
        return left <= self.config.close_decisions * self.venue.config.horizon_events

    def close(self) -> None:
        """Close journal and venue."""
        self.session.close()


def open_paper(config: PaperConfig) -> PaperSession:
    """Build the session: data, policy, venue (rebuilt from its ledger), bridge (recovered from its journal)."""
    policy, timing, limits = load_policy(config.artifact, config.policy, config.trusted_keys)
    market = config.market if config.market is not None else load_market(config.data, config.from_s, config.to_s)
    limits.check_instrument(market.instrument)
    limits = limits.stricter(config.quote_lots, config.inventory_cap_lots)
    horizon_events = config.horizon_events or timing.horizon_events
    if config.max_decisions is not None:
        market = market._replace(background=market.background[: config.max_decisions * horizon_events])
    latency_ns = timing.latency_ns if config.latency_ns is None else config.latency_ns
    core_config = CoreConfig(
        instrument=market.instrument,
        limits=config.limits or default_limits(market, limits.quote_lots, limits.inventory_cap_lots),
        controls=config.controls,
        capital_e8=config.capital_e8 or default_capital_e8(market, limits.inventory_cap_lots),
        quote_lots=limits.quote_lots,
        inventory_cap_lots=limits.inventory_cap_lots,
        disagreement_limit=limits.disagreement_limit,
        max_refusals=config.max_refusals,
        episode_steps=config.episode_steps or timing.episode_steps,
        session_steps=-(-len(market.background) // horizon_events),
        expires_ns=timing.expires_ns,
        event_epoch_ns=0 if config.data is None else recorded_day_ns(config.data),
    )
    venue = PaperVenue(
        config.directory / VENUE_DIRECTORY,
        market,
        PaperVenueConfig(
            horizon_events=horizon_events,
            capacity=config.capacity,
            latency=ConstantLatency(entry_ns=latency_ns),
            fees=config.fees or limits.fees,
            backend=config.backend,  # type: ignore[arg-type]
        ),
        clock=time_ns,
        fsync=config.venue_fsync,
    )
    try:
        session = Session(
            SessionConfig(
                instance=config.instance,
                run_id=config.run_id,
                strategy=config.strategy,
                fsync=config.fsync,
                snapshot_records=config.snapshot_records,
                segment_bytes=config.segment_bytes,
            ),
            core_config,
            policy,
            venue,
            config.directory,
        )
    except BaseException:
        venue.close()
        raise
    return PaperSession(config, session, venue, market)


def default_limits(market: PaperMarketData, quote_lots: int, cap_lots: int) -> RiskLimits:
    """Return the gate's limits for a market maker: twice a quote an order, the inventory cap, a collar of 10 %."""
    value_e8 = tick_value_e8(market.instrument)
    price_tick = max(abs(int(market.seed[0, 3])), 1)
    return RiskLimits(
        max_lots=max(2 * quote_lots, cap_lots),
        max_order_lots=max(2 * quote_lots, cap_lots),
        collar_tick=max(price_tick // 10, 10),
        max_order_value_e8=2 * max(2 * quote_lots, cap_lots) * price_tick * value_e8,
        tick_value_e8=value_e8,
        max_position_lots=cap_lots,
    )


def default_capital_e8(market: PaperMarketData, cap_lots: int) -> int:
    """Return a paper account in which the inventory cap is 5 % of equity, half of the position limit."""
    value_e8 = cap_lots * max(abs(int(market.seed[0, 3])), 1) * tick_value_e8(market.instrument)
    return min(max(20 * value_e8, 1), MAX_CAPITAL_E8)


def run_paper(config: PaperConfig) -> dict[str, Any]:
    """Run a paper session to its end and return what `bookswarm paper --json` prints.

    The record is added up twice after the end, from the journal and from the venue's ledger; `reconciled` says that
    both and the running account agree to the integer and that no order is open.
    Raises SessionFailedError where the session could not be left in order.
    """
    opened = open_paper(config)
    try:
        opened.run()
    finally:
        opened.close()
    return summarise(opened)


def summarise(opened: PaperSession) -> dict[str, Any]:
    """Return the JSON fields of a closed session."""
    session, state = opened.session, opened.session.core_state
    journal_path, venue_path = session.journal_directory, opened.config.directory / VENUE_DIRECTORY
    ours, theirs = ledger_from_journal(journal_path), ledger_from_venue(venue_path)
    account = opened.venue.account()
    running = (state.account.position_lots, state.account.cash_e8, state.account.fees_e8)
    pnl_e8 = state.equity_e8(session.core.config.limits.tick_value_e8)
    books_agree = ours.equal(theirs) and running == (ours.position_lots, ours.cash_e8, ours.fees_e8) == account[:3]
    return {
        "decisions": ours.decisions,
        "orders": len(ours.orders),
        "fills": len(ours.fills),
        "rejects": dict(sorted(ours.rejects.items())),
        "refusals": dict(sorted(ours.refusals.items())),
        "unknown": sum(order.state.name == "UNKNOWN" for order in state.live_orders()),
        "reconciled": bool(books_agree and not state.live and not opened.venue.open_orders()),
        "resolved": session.resolver.resolved,
        "position": state.account.position_lots,
        "pnl": pnl_e8 / MONEY_SCALE,
        "pnl_e8": pnl_e8,
        "cash_e8": state.account.cash_e8,
        "fees_e8": state.account.fees_e8,
        "traded_lots": state.account.traded_lots,
        "instrument": opened.data.instrument.name,
        **_control_fields(opened, journal_path),
        "currency": opened.data.instrument.currency,
        "latency_us": session.stats.summary(),
        "journal_records": ours.records,
        "epoch": state.session.epoch if state.session else 0,
        "trading": state.trading.name,
        "run_id": opened.config.run_id,
        "source": "paper",
        "strategy": opened.config.strategy,
        "journal": str(journal_path),
        "venue_ledger": str(venue_path),
    }


def _control_fields(opened: PaperSession, journal: Path) -> dict[str, Any]:
    """Return what the controls did, from the journal; nothing where all are off."""
    if opened.config.controls == NO_CONTROLS:
        return {}
    traces = tally(journal).traces
    counted = ("stop_triggered", "size_cut", "hedge_suggestion", "portfolio_risk")
    return {
        "controls": {name: traces[name].count if name in traces else 0 for name in counted}
        | {"alerts": {name.removeprefix("alert:"): each.count for name, each in traces.items() if "alert:" in name}}
        | {"scale": opened.session.core_state.controls.scale}
    }


class _Pace:
    """Recorded time at `speed` times its pace, from the first event on."""

    def __init__(self, speed: float) -> None:
        if not speed > 0:
            raise ValueError(f"speed {speed} is not above 0")
        self._speed = speed
        self._began: tuple[float, int] | None = None

    def __call__(self, event_ns: int) -> float:
        if self._began is None:
            self._began = (monotonic(), event_ns)
        began, first_ns = self._began
        return began + (event_ns - first_ns) / 1e9 / self._speed - monotonic()


@contextmanager
def _signals_drain(session: Session) -> Iterator[None]:
    """While the session runs, SIGTERM and SIGINT drain it; after SIGINT, KeyboardInterrupt says so, once it is drained.

    A second SIGINT interrupts at once. Outside the main thread there are no signals to handle.
    """
    if current_thread() is not main_thread():
        yield
        return
    interrupted = False

    def on_interrupt(_number: int, _frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        session.request_stop("SIGINT")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    terminated = signal.signal(signal.SIGTERM, lambda _number, _frame: session.request_stop("SIGTERM"))
    broken = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, terminated)
        signal.signal(signal.SIGINT, broken)
    if interrupted:
        raise KeyboardInterrupt


__all__ = ["PaperConfig", "PaperSession", "SessionFailedError", "open_paper", "run_paper", "summarise"]
