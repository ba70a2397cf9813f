-- Recorded markets: what `data import` stores. The codecs are the smallest of those tried on an hour of AAPL messages
-- (91,997 rows, 3.85 MB of CSV).

CREATE TABLE IF NOT EXISTS instruments
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) DEFAULT '',
    instrument LowCardinality(String),
    currency LowCardinality(String),
    tick_size String COMMENT 'decimal, in the quote currency',
    lot_size String COMMENT 'decimal, in the base unit',
    tick_lot_value_e8 Int64 COMMENT 'worth of one lot moving one tick, 1e-8 of the quote currency',
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (source, run_id, instrument);

CREATE TABLE IF NOT EXISTS book_messages
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the import',
    instrument LowCardinality(String),
    dataset_digest LowCardinality(String),
    sequence UInt64 COMMENT 'row in the recording, from 0' CODEC(DoubleDelta, ZSTD(1)),
    event_ns Int64 CODEC(Delta, ZSTD(1)),
    kind Int8 COMMENT 'message kind of the recording' CODEC(ZSTD(1)),
    side Enum8('BUY' = 0, 'SELL' = 1) COMMENT 'of the order that the message names' CODEC(ZSTD(1)),
    order_id Int64 CODEC(ZSTD(3)),
    price_tick Int64 CODEC(T64, ZSTD(1)),
    lots Int64 CODEC(T64, ZSTD(1)),
    batch LowCardinality(String),
    time DateTime64(9, 'UTC') ALIAS fromUnixTimestamp64Nano(event_ns, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(fromUnixTimestamp64Nano(event_ns, 'UTC'))
ORDER BY (source, run_id, instrument, sequence);
