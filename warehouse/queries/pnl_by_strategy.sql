-- what: What each strategy earned: its account after the last event, beside what its fills add up to.
-- units: money 1e-8 quote currency, positive is earned; lots; pnl in quote currency.
-- param run_id String = '': only this run; empty for all
-- param source String = '': only sim, replay, paper or live; empty for all
WITH accounts AS
(
    SELECT
        source, run_id, strategy, instrument,
        argMax(position_lots, sequence) AS position_lots,
        argMax(cash_e8, sequence) AS cash_e8,
        argMax(fees_e8, sequence) AS fees_e8,
        argMax(equity_e8, sequence) AS equity_e8
    FROM equity
    WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
    GROUP BY source, run_id, strategy, instrument
),
trading AS
(
    SELECT source, run_id, strategy, instrument, count() AS fills, sum(toInt128(lots)) AS traded_lots
    FROM fills
    WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
    GROUP BY source, run_id, strategy, instrument
)
SELECT
    toString(accounts.source) AS source, accounts.run_id AS run_id, accounts.strategy AS strategy,
    accounts.instrument AS instrument, fills, traded_lots, position_lots, cash_e8, fees_e8, equity_e8,
    equity_e8 / 1e8 AS pnl
FROM accounts
LEFT JOIN trading USING (source, run_id, strategy, instrument)
ORDER BY source, run_id, equity_e8 DESC, strategy
