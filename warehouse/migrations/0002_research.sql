-- What training, evaluation and selection leave behind, and the trial log that the deflated Sharpe ratio needs.

CREATE TABLE IF NOT EXISTS episodes
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String) COMMENT 'agent, baseline or ensemble',
    episode UInt64 CODEC(Delta, ZSTD(1)),
    seed UInt64 CODEC(T64, ZSTD(1)),
    pnl_tick_lots Float64 COMMENT 'at the end, against the mark, after fees' CODEC(ZSTD(1)),
    fills UInt64 CODEC(T64, ZSTD(1)),
    traded_lots UInt64 CODEC(T64, ZSTD(1)),
    max_drawdown Float64 COMMENT 'tick-lots, positive' CODEC(ZSTD(1)),
    final_inventory Int64 COMMENT 'lots' CODEC(T64, ZSTD(1)),
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (source, run_id, strategy, episode)
COMMENT 'one row per evaluated episode';

CREATE TABLE IF NOT EXISTS population_metrics
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    update UInt64 CODEC(Delta, ZSTD(1)),
    env_steps UInt64 CODEC(Delta, ZSTD(1)),
    metric LowCardinality(String),
    q05 Nullable(Float64) CODEC(ZSTD(1)),
    q25 Nullable(Float64) CODEC(ZSTD(1)),
    q50 Nullable(Float64) CODEC(ZSTD(1)),
    q75 Nullable(Float64) CODEC(ZSTD(1)),
    q95 Nullable(Float64) CODEC(ZSTD(1)),
    mean Nullable(Float64) CODEC(ZSTD(1)),
    best Nullable(Float64) COMMENT 'value of the agent that leads by its recent return' CODEC(ZSTD(1)),
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (source, run_id, metric, update)
COMMENT 'quantiles over the agents of a population, one row per update and metric; null where no agent has a value';

CREATE TABLE IF NOT EXISTS trials
(
    dataset_digest String,
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    strategy LowCardinality(String) COMMENT 'one tried agent or rule',
    config_digest String DEFAULT '',
    recorded_ns Int64 CODEC(Delta, ZSTD(1)),
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (dataset_digest, source, run_id, strategy)
COMMENT 'everything that was ever tried on a data set, winners and losers';

CREATE TABLE IF NOT EXISTS selection
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String),
    dataset_digest String,
    selected_ns Int64,
    trials UInt64 COMMENT 'ever made on this data set, this run included',
    effective_trials Float64,
    dsr Float64 COMMENT 'deflated Sharpe ratio of the best agent, a probability',
    pbo Float64 COMMENT 'probability of backtest overfitting',
    survivors UInt64 COMMENT 'agents that StepM kept',
    members Array(String),
    passed Bool COMMENT 'released: every stage passed, the hold-out too',
    detail String DEFAULT '' COMMENT 'selection.json' CODEC(ZSTD(3)),
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (source, run_id, selected_ns);

CREATE TABLE IF NOT EXISTS artifacts
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4),
    run_id LowCardinality(String) COMMENT 'the run that trained it',
    digest String COMMENT 'SHA-256 of manifest.json',
    path String,
    members UInt32,
    released Bool,
    created_ns Int64,
    expires_ns Int64 DEFAULT 0,
    manifest String DEFAULT '' CODEC(ZSTD(3)),
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (digest, run_id);

CREATE TABLE IF NOT EXISTS datasets
(
    source Enum8('sim' = 1, 'replay' = 2, 'paper' = 3, 'live' = 4) COMMENT 'replay for a recording, sim for a generated market',
    run_id LowCardinality(String) COMMENT 'the import',
    digest String COMMENT 'SHA-256 of the files',
    name String,
    format LowCardinality(String),
    instrument LowCardinality(String),
    rows UInt64,
    quarantined UInt64,
    first_ns Int64,
    last_ns Int64,
    raw_bytes UInt64 COMMENT 'size of the files that were read',
    imported_ns Int64,
    batch String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree ORDER BY (digest, name);
