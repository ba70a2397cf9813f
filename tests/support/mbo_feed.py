"""A small market-by-order recording and the MBP rows that belong to it, as Databento's csv."""

HEADER = "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,channel_id,order_id,flags,"
HEADER += "ts_in_delta,sequence,symbol"
MBP_HEADER = ",ts_recv,ts_event,action,side,depth,price,size,flags,sequence," + ",".join(
    f"{side}_{what}_{level:02d}" for level in range(2) for side in ("bid", "ask") for what in ("px", "sz", "ct")
)
MBP_HEADER += ",symbol,order_id"
BIG = 2**40  # ids and sequence numbers of a venue need not fit 32 bits
T, LAST = "2025-07-17T08:05:03.360842448Z", 130


def record(action, side, price, size, order_id, sequence, flags=LAST, time=T, symbol="ARL"):
    return f"{T},{time},160,2,1108,{action},{side},{price},{size},0,{order_id},{flags},1,{sequence},{symbol}"


def mbp(sequence, action, order_id, *levels):
    """Write a row of two levels; each is (bid price, size, ask price, size), '' for none."""
    cells = [f"{bid},{bid_size},1,{ask},{ask_size},1" for bid, bid_size, ask, ask_size in levels]
    return f"0,{T},{T},{action},N,0,,0,130,{sequence},{','.join(cells)},ARL,{order_id}"


RECORDS = [
    record("R", "N", "", 0, 0, 0, 8),
    record("A", "B", "5.510000000", 100, BIG + 1, 1),
    record("A", "A", "5.53", 50, BIG + 2, 2),
    record("A", "B", "5.51", 30, BIG + 3, 3),
    record("C", "B", "5.51", 40, BIG + 1, 4),  # a part
    record("T", "A", "5.51", 70, 0, 5),
    record("F", "B", "5.51", 60, BIG + 1, 5),
    record("C", "B", "5.51", 60, BIG + 1, 5),
    record("F", "B", "5.51", 10, BIG + 3, 5),
    record("C", "B", "5.51", 10, BIG + 3, 5),
    record("T", "N", "5.515", 7, 0, 6),  # against a hidden order, between two ticks
    record("M", "A", "5.52", 50, BIG + 2, 7),
    record("C", "A", "5.52", 50, BIG + 2, 8, 0),
    record("A", "A", "5.54", 50, BIG + 4, 8),
]
NONE = ("", 0, "", 0)
ROWS = [
    mbp(0, "R", 0, NONE, NONE),
    mbp(1, "A", BIG + 1, ("5.51", 100, "", 0), NONE),
    mbp(2, "A", BIG + 2, ("5.51", 100, "5.53", 50), NONE),
    mbp(3, "A", BIG + 3, ("5.51", 130, "5.53", 50), NONE),
    mbp(4, "C", BIG + 1, ("5.51", 90, "5.53", 50), NONE),
    mbp(5, "T", 0, ("5.51", 20, "5.53", 50), NONE),
    mbp(6, "T", 0, ("5.51", 20, "5.53", 50), NONE),
    mbp(7, "M", BIG + 2, ("5.51", 20, "5.52", 50), NONE),
    mbp(8, "C", BIG + 2, ("5.51", 20, "", 0), NONE),
    mbp(8, "A", BIG + 4, ("5.51", 20, "5.54", 50), NONE),
]
