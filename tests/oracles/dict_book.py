"""A book of dictionaries for replayed messages: nothing matches in it, so it must never have to."""


class DictBook:
    """Orders by id, level sums by price; knows LIMIT (1), REDUCE (6), DELETE (7) and EXECUTE (10)."""

    def __init__(self) -> None:
        self.orders: dict[int, list[int]] = {}  # id -> [side, price, lots]
        self.sums: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def apply(self, kind: int, side: int, lots: int, price: int, order_id: int) -> None:
        if kind == 1:
            assert order_id not in self.orders
            best = max(self.sums[0], default=-(2**40)) if side else min(self.sums[1], default=2**40)
            assert price > best if side else price < best, "a replayed order would match"
            self.orders[order_id] = [side, price, lots]
            self.sums[side][price] = self.sums[side].get(price, 0) + lots
            return
        assert kind in (6, 7, 10)
        order = self.orders[order_id]
        assert order[0] == side
        taken = order[2] if kind == 7 else lots
        assert taken <= order[2], "more is taken than rests"
        order[2] -= taken
        self.sums[side][order[1]] -= taken
        if not order[2]:
            del self.orders[order_id]
        if not self.sums[side][order[1]]:
            del self.sums[side][order[1]]

    def depth(self, levels: int) -> list[list[list[int]]]:
        out = []
        for side in (0, 1):
            prices = sorted(self.sums[side], reverse=side == 0)[:levels]
            rows = [[price, self.sums[side][price]] for price in prices]
            out.append(rows + [[0, 0]] * (levels - len(rows)))
        return out


def rows_that_differ(stream, levels: int) -> list[int]:
    """Replay a VerifyStream and return the rows whose depth is not the expected one."""
    book, messages, offsets = DictBook(), stream.messages.tolist(), stream.offsets.tolist()
    differ = []
    for row, expected in enumerate(stream.expected.tolist()):
        for message in messages[offsets[row] : offsets[row + 1]]:
            book.apply(*message[:5])
        if book.depth(levels) != expected:
            differ.append(row)
    return differ
