-- The other kinds of recorded rows that `data import` stores beside book_messages. Prices in ticks, sizes in lots of the
-- instrument (table instruments, same run_id). event_ns is the exchange's time, else the local one, else 0.

CREATE TABLE IF NOT EXISTS book_levels
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the import',
    instrument LowCardinality(String),
    dataset_digest LowCardinality(String),
    sequence UInt64 COMMENT 'row of this kind in the import, from 0' CODEC(DoubleDelta, ZSTD(1)),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns COMMENT 'local time of receipt' CODEC(Delta, ZSTD(1)),
    event_id Int64 COMMENT 'update id of the venue; rows of one event share it' CODEC(Delta, ZSTD(1)),
    snapshot UInt8 COMMENT '1: of a snapshot, which starts the book anew' CODEC(ZSTD(1)),
    side Enum8('BUY' = 0, 'SELL' = 1) CODEC(ZSTD(1)),
    price_tick Int64 CODEC(T64, ZSTD(1)),
    lots Int64 COMMENT 'new size of the level; 0 removes it' CODEC(T64, ZSTD(1)),
    batch LowCardinality(String),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, sequence);

CREATE TABLE IF NOT EXISTS trades
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the import',
    instrument LowCardinality(String),
    dataset_digest LowCardinality(String),
    sequence UInt64 COMMENT 'row of this kind in the import, from 0' CODEC(DoubleDelta, ZSTD(1)),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns CODEC(Delta, ZSTD(1)),
    trade_id Int64 DEFAULT 0 COMMENT 'of the venue; 63 bits of SHA-256 where it is text; 0 none' CODEC(Delta, ZSTD(1)),
    side Enum8('UNKNOWN' = -1, 'BUY' = 0, 'SELL' = 1) COMMENT 'of the aggressor' CODEC(ZSTD(1)),
    price_tick Int64 CODEC(T64, ZSTD(1)),
    lots Int64 CODEC(T64, ZSTD(1)),
    batch LowCardinality(String),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, sequence);

CREATE TABLE IF NOT EXISTS quotes
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the import',
    instrument LowCardinality(String),
    dataset_digest LowCardinality(String),
    sequence UInt64 COMMENT 'row of this kind in the import, from 0' CODEC(DoubleDelta, ZSTD(1)),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    recv_ns Int64 DEFAULT event_ns CODEC(Delta, ZSTD(1)),
    bid_tick Nullable(Int64) COMMENT 'null: the row says nothing of this side' CODEC(T64, ZSTD(1)),
    bid_lots Nullable(Int64) CODEC(T64, ZSTD(1)),
    ask_tick Nullable(Int64) CODEC(T64, ZSTD(1)),
    ask_lots Nullable(Int64) CODEC(T64, ZSTD(1)),
    batch LowCardinality(String),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, sequence);

CREATE TABLE IF NOT EXISTS bars
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the import',
    instrument LowCardinality(String),
    dataset_digest LowCardinality(String),
    sequence UInt64 COMMENT 'row of this kind in the import, from 0' CODEC(DoubleDelta, ZSTD(1)),
    event_ns Int64 COMMENT 'opening time' CODEC(Delta, ZSTD(1)),
    open_tick Nullable(Int64) COMMENT 'null where only a closing price is recorded' CODEC(T64, ZSTD(1)),
    high_tick Nullable(Int64) CODEC(T64, ZSTD(1)),
    low_tick Nullable(Int64) CODEC(T64, ZSTD(1)),
    close_tick Int64 CODEC(T64, ZSTD(1)),
    volume_lots Nullable(Int64) CODEC(T64, ZSTD(1)),
    batch LowCardinality(String),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY intDiv(event_ns, 315576000000000000)
ORDER BY (source, run_id, instrument, sequence)
COMMENT 'partitions of ten years: a daily series is short and long';

ALTER TABLE book_messages ADD COLUMN IF NOT EXISTS recv_ns Int64 DEFAULT event_ns COMMENT 'local time of receipt' CODEC(Delta, ZSTD(1));

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS tier LowCardinality(String) DEFAULT 'unknown' COMMENT 'licence tier';

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS gaps UInt64 DEFAULT 0;

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS crossed UInt64 DEFAULT 0;

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS stored_rows UInt64 DEFAULT 0 COMMENT 'rows of all kinds that it brought';

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS unpacked_bytes UInt64 DEFAULT 0 COMMENT 'size of the recorded text or binary, unpacked';

ALTER TABLE datasets ADD COLUMN IF NOT EXISTS report String DEFAULT '' COMMENT 'what the import said, JSON' CODEC(ZSTD(3));
