-- what: Were the fills good? How far the mark moved in our favour by a given time after each fill (negative: picked off).
-- units: ticks per lot, weighted by lots; horizon in nanoseconds of event time; fills without a later mark are left out.
-- param run_id String: the session
-- param source String = 'paper': sim, replay, paper or live
-- param horizon_ns UInt64 = 1000000000: how long after the fill
WITH targets AS
(
    SELECT strategy, instrument, side, liquidity, price_tick, lots, event_ns + {horizon_ns:UInt64} AS target_ns
    FROM fills
    WHERE run_id = {run_id:String} AND toString(source) = {source:String}
),
marks AS
(
    SELECT strategy, instrument, event_ns, argMax(mark_tick, sequence) AS later_tick
    FROM equity
    WHERE run_id = {run_id:String} AND toString(source) = {source:String}
    GROUP BY strategy, instrument, event_ns
)
SELECT
    strategy, instrument, toString(liquidity) AS liquidity,
    count() AS fills,
    sum(lots) AS lots,
    sum(if(side = 'BUY', 1, -1) * (later_tick - price_tick) * targets.lots) / sum(targets.lots) AS markout_tick
FROM targets
ASOF INNER JOIN marks
    ON targets.strategy = marks.strategy AND targets.instrument = marks.instrument AND targets.target_ns <= marks.event_ns
GROUP BY strategy, instrument, liquidity
ORDER BY strategy, instrument, liquidity
