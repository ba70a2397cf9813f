"""The account of the bar environments as a ledger of cash and units in plain Python; shares no code with them."""


class Ledger:
    """Cash and units; our trades push the price by permanent and by decaying parts of a block-shaped book."""

    def __init__(self, equity, fee_bps, slip, depth, permanent, resilience, bar_s, borrow_bps):
        self.cash, self.units = equity, [0.0, 0.0]
        self.fee, self.slip, self.borrow = fee_bps / 1e4, slip, borrow_bps / 1e4
        self.depth, self.permanent, self.resilience, self.bar_s = depth, permanent, resilience, bar_s
        self.stays, self.decays, self.seen = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]

    def price(self, base):
        return [b + s + d for b, s, d in zip(map(float, base), self.stays, self.decays, strict=True)]

    def equity(self, base):
        return self.cash + sum(u * p for u, p in zip(self.units, self.price(base), strict=True))

    def trade_to(self, weights, base):
        equity, prices = self.equity(base), self.price(base)
        self.seen = prices
        for i, (weight, price) in enumerate(zip(weights, map(float, prices), strict=True)):
            lots = weight * equity / price - self.units[i]
            sign = (lots > 0) - (lots < 0)
            paid = price + lots / (2 * self.depth) + sign * self.slip
            self.cash -= lots * paid + self.fee * abs(lots) * abs(paid)
            self.units[i] += lots
            self.stays[i] += self.permanent * lots
            self.decays[i] += (1 / self.depth - self.permanent) * lots

    def pass_bar(self):
        """Shorts pay on their notional at the price before our trade."""
        self.cash -= self.borrow * sum(-u * p for u, p in zip(self.units, self.seen, strict=True) if u < 0)
        kept = 2.718281828459045 ** (-self.resilience * self.bar_s)
        self.decays = [d * kept for d in self.decays]
