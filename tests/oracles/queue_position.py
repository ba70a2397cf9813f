"""An order of ours in a recorded Binance market, followed by hand: how much is ahead of it, and when it is filled.

Plain Python over the raw lines, decimals all the way, whole book, no engine: it shares no code with the project and
knows one order only. The rules are those that `market_models/datasets/depth_trading.py` states.
"""

import gzip
import json
from decimal import Decimal
from math import ceil

MS = 1_000_000


def load(paths):
    """Return (events, snapshot): depth events and trades by exchange time, trades first, from the spanning event on."""
    depths, trades, snapshot = [], [], None
    for path in paths:
        with gzip.open(path, "rt") as lines:
            for line in lines:
                body = json.loads(line.split(" ", 1)[1])
                if "stream" not in body:
                    snapshot = body
                elif "@depth" in body["stream"]:
                    depths.append(body["data"])
                elif body["stream"].endswith("@trade") and body["data"].get("X", "MARKET") == "MARKET":
                    trades.append(body["data"])
    last = snapshot["lastUpdateId"]
    futures = "pu" in depths[0]
    depths = [event for event in depths if event["u"] >= last + (not futures)]
    timed, clock = [], snapshot.get("T", 0)
    for event in depths:
        clock = max(clock, event.get("T", event["E"]))
        timed.append((clock, 1, event))
    timed += [(trade["T"], 0, trade) for trade in trades]
    timed.sort(key=lambda item: item[:2])
    return timed, snapshot


class OwnOrder:
    """One order of ours and the level that it waits in."""

    def __init__(self, buys: bool, price: Decimal, size: Decimal, ahead: Decimal, model: str):
        self.buys, self.price, self.left, self.model = buys, price, size, model
        self.ahead, self.behind = ahead, Decimal(0)
        self.fills: list[tuple[int, Decimal]] = []

    def fill(self, ms: int, size: Decimal):
        size = min(size, self.left)
        if size:
            self.left -= size
            self.fills.append((ms * MS, size))

    def meet(self, ms: int, size: Decimal) -> Decimal:
        """Let a taker of `size` eat the level from the front; return what it has left."""
        taken = min(size, self.ahead)
        self.ahead -= taken
        size -= taken
        mine = min(size, self.left)
        self.fill(ms, mine)
        size -= mine
        taken = min(size, self.behind)
        self.behind -= taken
        return size - taken

    def level_is(self, shown: Decimal, lot: Decimal):
        """The feed says that others' orders in this level are `shown` together."""
        total = self.ahead + self.behind
        if shown >= total:
            self.behind += shown - total
            return
        if self.model == "back_first":
            self.ahead = min(self.ahead, shown)
        elif self.model == "front_first":
            self.ahead = max(Decimal(0), self.ahead - (total - shown))
        else:
            exact = (self.ahead / lot) * (shown / lot) / (total / lot)
            self.ahead = Decimal(ceil(exact)) * lot
        self.behind = shown - self.ahead


def follow(events, snapshot, entry_ms, buys, offset, size, model, lot, until_ms):
    """Return (price of our order, its fills [(ns, size)], what is ahead of it at the end).

    The order enters after everything of `entry_ms` or before, at the `offset`-th best price of its side.
    """
    shown = [{Decimal(p): Decimal(q) for p, q in snapshot[name]} for name in ("bids", "asks")]
    taken = [{}, {}]  # what trades took since the last depth event
    order = None
    for ms, is_depth, event in events:
        if ms > until_ms:
            break
        if order is None and ms > entry_ms:
            own = 0 if buys else 1
            price = sorted(shown[own], reverse=buys)[offset]
            order = OwnOrder(buys, price, size, shown[own][price] - taken[own].get(price, 0), model)
        if is_depth:
            for side, name in enumerate(("b", "a")):
                for price, quantity in event[name]:
                    shown[side].pop(Decimal(price), None)
                    if Decimal(quantity):
                        shown[side][Decimal(price)] = Decimal(quantity)
            taken = [{}, {}]
            if order is not None:
                order.level_is(shown[0 if buys else 1].get(order.price, Decimal(0)), lot)
                opposite = min(shown[1]) if buys else max(shown[0])
                if opposite <= order.price if buys else opposite >= order.price:
                    order.fill(ms, order.left)
        else:
            trade(shown, taken, order, event, ms)
    assert order is not None
    return order.price, order.fills, order.ahead


def trade(shown, taken, order, event, ms):
    """A taker eats from the best price to its own."""
    sells, limit, size = event["m"], Decimal(event["p"]), Decimal(event["q"])
    side, gone = (shown[0], taken[0]) if sells else (shown[1], taken[1])
    ours = order is not None and order.buys == sells
    prices = {price for price in side if (price >= limit if sells else price <= limit)}
    if ours and (order.price >= limit if sells else order.price <= limit):
        prices.add(order.price)
    for price in sorted(prices, reverse=sells):
        if ours and price == order.price:
            size = order.meet(ms, size)
        else:
            eaten = min(size, side[price] - gone.get(price, 0))
            gone[price] = gone.get(price, 0) + eaten
            size -= eaten
