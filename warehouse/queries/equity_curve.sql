-- what: A session's equity against event time, thinned to about `points` rows, with its drawdown from the highest so far.
-- units: event_ns nanoseconds; money 1e-8 quote currency; lots; ticks. Drawdown is positive and taken over every row.
-- param run_id String: the session
-- param source String = 'paper': sim, replay, paper or live
-- param points UInt64 = 500: about how many rows to return
WITH numbered AS
(
    SELECT
        strategy, instrument, event_ns, position_lots, cash_e8, fees_e8, equity_e8, mark_tick, sequence,
        max(equity_e8) OVER earlier - equity_e8 AS drawdown_e8,
        row_number() OVER earlier AS position_in_curve,
        count() OVER (PARTITION BY strategy, instrument) AS total
    FROM equity
    WHERE run_id = {run_id:String} AND toString(source) = {source:String}
    WINDOW earlier AS (PARTITION BY strategy, instrument ORDER BY sequence ROWS UNBOUNDED PRECEDING)
)
SELECT strategy, instrument, event_ns, position_lots, cash_e8, fees_e8, equity_e8, mark_tick, drawdown_e8
FROM numbered
WHERE position_in_curve = total
    OR (position_in_curve - 1) % greatest(1, intDiv(total, greatest(1, {points:UInt64}))) = 0
ORDER BY strategy, instrument, sequence
