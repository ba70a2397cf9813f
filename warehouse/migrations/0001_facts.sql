-- Everything that a run produces. One schema for the simulator, a replay, paper and live: `source` tells which, `run_id`
-- tells which run. Facts are integers: ticks, lots, nanoseconds UTC (recorded data without a date: since that day's
-- midnight), money in 1e-8 of the quote currency.
--
-- Every table replaces rows with the same sorting key, and the client reads with `final = 1`: a batch that is sent again
-- lands once. `batch` is the digest of the batch that brought the row.

CREATE TABLE IF NOT EXISTS ingested_segments
(
    digest String COMMENT 'SHA-256 of the segment file and the constants added to it',
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id String,
    table_name LowCardinality(String),
    path String,
    rows UInt64,
    ingested_ns Int64
)
ENGINE = ReplacingMergeTree ORDER BY (digest, table_name);

CREATE TABLE IF NOT EXISTS orders
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String),
    instrument LowCardinality(String),
    client_order_id String COMMENT '32 hex characters, ours',
    venue_order_id String DEFAULT '' COMMENT 'empty until the venue names it',
    side Enum8('BUY' = 0, 'SELL' = 1),
    price_tick Int64 CODEC(T64, ZSTD(1)),
    lots Int64 COMMENT 'ordered lots' CODEC(T64, ZSTD(1)),
    status LowCardinality(String) COMMENT 'state after this transition',
    reason LowCardinality(String) DEFAULT '' COMMENT 'why it was refused, rejected or canceled',
    event_ns Int64 COMMENT 'event time' CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns COMMENT 'local time of receipt' CODEC(Delta, ZSTD(1)),
    sequence UInt64 COMMENT 'journal sequence number of the transition' CODEC(Delta, ZSTD(1)),
    batch String CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, client_order_id, sequence, status)
COMMENT 'one row per state transition of one of our orders';

CREATE TABLE IF NOT EXISTS fills
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String),
    instrument LowCardinality(String),
    trade_id String COMMENT 'the venue names it',
    client_order_id String,
    venue_order_id String DEFAULT '',
    side Enum8('BUY' = 0, 'SELL' = 1) COMMENT 'side of our order',
    price_tick Int64 CODEC(T64, ZSTD(1)),
    lots Int64 CODEC(T64, ZSTD(1)),
    fee_e8 Int64 COMMENT '1e-8 quote currency, positive is paid' CODEC(T64, ZSTD(1)),
    liquidity Enum8('UNKNOWN' = 0, 'MAKER' = 1, 'TAKER' = 2),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns CODEC(Delta, ZSTD(1)),
    sequence UInt64 COMMENT 'journal sequence number of the event that brought it' CODEC(Delta, ZSTD(1)),
    batch String CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, sequence, trade_id)
COMMENT 'one row per booked execution of one of our orders; a trade booked twice would show as two rows';

CREATE TABLE IF NOT EXISTS equity
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String),
    instrument LowCardinality(String),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    position_lots Int64 CODEC(Delta, ZSTD(1)),
    cash_e8 Int64 COMMENT 'before fees' CODEC(Delta, ZSTD(1)),
    fees_e8 Int64 COMMENT 'paid so far' CODEC(Delta, ZSTD(1)),
    equity_e8 Int64 COMMENT 'cash - fees + position at the mark' CODEC(Delta, ZSTD(1)),
    mark_tick Int64 COMMENT 'mid without our own orders, rounded down' CODEC(Delta, ZSTD(1)),
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    batch String CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, strategy, instrument, sequence)
COMMENT 'account after an event';

CREATE TABLE IF NOT EXISTS decisions
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String),
    instrument LowCardinality(String),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns CODEC(Delta, ZSTD(1)),
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    decision_number UInt64 DEFAULT 0 COMMENT 'counts decisions of the session; 0 with a refusal' CODEC(Delta, ZSTD(1)),
    action Int32 DEFAULT -1 COMMENT 'row of the action table; -1 with a refusal',
    refusal LowCardinality(String) DEFAULT '' COMMENT 'empty, or the typed reason why no decision was made',
    disagreement Float64 DEFAULT 0 COMMENT 'of the members, 0..1' CODEC(ZSTD(1)),
    bid_price_tick Int64 DEFAULT 0 COMMENT 'wanted quote' CODEC(T64, ZSTD(1)),
    bid_lots Int64 DEFAULT 0 COMMENT '0: no bid' CODEC(T64, ZSTD(1)),
    ask_price_tick Int64 DEFAULT 0 CODEC(T64, ZSTD(1)),
    ask_lots Int64 DEFAULT 0 COMMENT '0: no ask' CODEC(T64, ZSTD(1)),
    best_bid_tick Nullable(Int64) CODEC(ZSTD(1)),
    best_ask_tick Nullable(Int64) CODEC(ZSTD(1)),
    inventory_lots Int64 DEFAULT 0 CODEC(Delta, ZSTD(1)),
    batch String CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, strategy, instrument, sequence)
COMMENT 'what the policy wanted, or why it was refused';

CREATE TABLE IF NOT EXISTS risk_events
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String) DEFAULT '',
    instrument LowCardinality(String) DEFAULT '',
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String) COMMENT 'REFUSED by the gate, STATE for a change of the trading state, else the code of an alert',
    detail String DEFAULT '',
    batch String CODEC(ZSTD(1)),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, sequence, kind);
