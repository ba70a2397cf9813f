"""What every registered venue promises the session (live_bridge/venues/base.py)."""

import pytest

from live_bridge.types import (
    BookEvent,
    CancelAck,
    CancelIntent,
    CancelReject,
    Fill,
    NewIntent,
    OrderAck,
    OrderKind,
    OrderReject,
    OrderState,
    Origin,
)
from live_bridge.venues import VENUES, venue_class
from live_bridge.venues.paper import PaperVenueConfig
from tests.support.paper_market import MID_TICK, make_market


def make_paper(directory):
    config = PaperVenueConfig(horizon_events=10, backend="oracle")
    return venue_class("paper")(directory, make_market(400, 6), config, clock=lambda: 77, fsync="never")


MAKERS = {"paper": make_paper}  # how a test opens each venue; a new venue brings its line
REST, CROSS = MID_TICK - 30, MID_TICK + 30


@pytest.fixture(params=sorted(VENUES))
def reopen(request, tmp_path):
    """Open the venue; called again, close it and open it as a new process would."""
    opened = []

    def open_again():
        for venue in opened:
            venue.close()
        opened[:] = [MAKERS[request.param](tmp_path / "venue")]
        return opened[0]

    yield open_again
    opened[0].close()


def new(number: int, kind: OrderKind = OrderKind.POST_ONLY, price_tick: int = REST, lots: int = 5) -> NewIntent:
    return NewIntent(f"{number:032x}", number, 0, 0, price_tick, lots, kind, False, Origin.POLICY, "", 0)


def cancel(number: int) -> CancelIntent:
    return CancelIntent(f"{number:032x}", 1_000 + number, 0, Origin.POLICY, "", 0)


def about(events, number: int) -> list:
    return [event for event in events if getattr(event, "client_order_id", "") == f"{number:032x}"]


def test_every_registered_venue_is_under_this_contract():
    assert set(MAKERS) == set(VENUES)
    with pytest.raises(ValueError, match="'nasdaq' is not one of"):
        venue_class("nasdaq")


def test_an_order_is_on_its_way_then_answered_once_and_known_by_its_client_id(reopen):
    venue = reopen()
    venue.poll()
    events = venue.submit(new(1))
    assert venue.order(f"{1:032x}").state is OrderState.SENT
    assert [order.client_order_id for order in venue.open_orders()] == [f"{1:032x}"]
    events += venue.poll()
    assert [type(event) for event in about(events, 1)] == [OrderAck]
    assert about(events, 1)[0].venue_order_id
    assert isinstance(events[-1], BookEvent)
    assert venue.order(f"{1:032x}").state is OrderState.OPEN
    assert venue.order(f"{2:032x}") is None


def test_the_same_client_order_id_is_never_entered_twice(reopen):
    venue = reopen()
    venue.poll()
    events = venue.submit(new(1)) + venue.submit(new(1)) + venue.poll() + venue.submit(new(1)) + venue.poll()
    assert len([event for event in about(events, 1) if isinstance(event, OrderAck)]) == 1
    assert len(venue.open_orders()) == 1


def test_a_post_only_order_that_would_cross_is_refused_and_an_ioc_fills_and_expires(reopen):
    venue = reopen()
    venue.poll()
    events = venue.submit(new(1, price_tick=CROSS)) + venue.submit(new(2, OrderKind.IOC, CROSS, 100_000)) + venue.poll()
    assert [type(event) for event in about(events, 1)] == [OrderReject]
    kinds = [type(event) for event in about(events, 2)]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == (OrderAck, CancelAck, {Fill})
    fills = [event for event in about(events, 2) if isinstance(event, Fill)]
    ended = about(events, 2)[-1]
    assert ended.expired
    assert sum(fill.lots for fill in fills) + ended.lots == 100_000
    assert len({fill.trade_id for fill in fills}) == len(fills)
    assert venue.fills(0) == fills
    assert venue.account().position_lots == sum(fill.lots for fill in fills)


def test_a_cancel_is_answered_whether_it_comes_in_time_or_too_late(reopen):
    venue = reopen()
    venue.poll()
    events = venue.submit(new(1)) + venue.poll() + venue.cancel(cancel(1)) + venue.poll()
    assert [type(event) for event in about(events, 1)] == [OrderAck, CancelAck]
    assert about(events, 1)[1].lots == 5
    events = venue.cancel(cancel(1)) + venue.poll()
    assert [type(event) for event in about(events, 1)] == [CancelReject]
    assert venue.cancel(cancel(9)) == []
    assert venue.order(f"{1:032x}").state is OrderState.CANCELED


def test_a_reopened_venue_knows_every_order_fill_and_lot_and_goes_on_from_there(reopen):
    venue = reopen()
    for number in range(1, 9):
        venue.poll()
        venue.submit(new(number, OrderKind.LIMIT, CROSS if number % 3 == 0 else REST + number, 7))
    venue.cancel(cancel(4))
    before = (venue.account(), venue.fills(0), [venue.order(f"{n:032x}") for n in range(1, 9)], venue.now_ns())
    assert venue.fills(0)
    again = reopen()
    after = (again.account(), again.fills(0), [again.order(f"{n:032x}") for n in range(1, 9)], again.now_ns())
    assert after == before
    events = again.poll()
    assert [type(event) for event in about(events, 8)] == [OrderAck]
    assert [type(event) for event in about(events, 4)] == [CancelAck]


def test_the_market_ends_and_a_drain_answers_what_is_still_under_way(reopen):
    venue = reopen()
    while not venue.ended:
        venue.poll()
    assert venue.poll() == []
    venue.submit(new(1))
    events = venue.drain() + venue.cancel(cancel(1)) + venue.drain()
    assert [type(event) for event in about(events, 1)] == [OrderAck, CancelAck]
    assert venue.open_orders() == []
