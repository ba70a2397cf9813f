-- what: A session's books rebuilt from its fills alone, to be compared with the journal's and the venue's to the last unit.
-- units: exact integers (Int128): lots; price x lots in tick-lots; money 1e-8 quote currency. Cash is before fees.
-- param run_id String: the session
-- param source String = 'paper': sim, replay, paper or live
-- param tick_value_e8 Int64: worth of one lot moving one tick, 1e-8 quote currency
SELECT
    instrument,
    count() AS fills,
    sum(toInt128(lots)) AS traded_lots,
    sum(if(side = 'BUY', 1, -1) * toInt128(lots)) AS position_lots,
    -sum(if(side = 'BUY', 1, -1) * toInt128(lots) * price_tick) AS cash_tick_lots,
    cash_tick_lots * {tick_value_e8:Int64} AS cash_e8,
    sum(toInt128(fee_e8)) AS fees_e8
FROM fills
WHERE run_id = {run_id:String} AND toString(source) = {source:String}
GROUP BY instrument
ORDER BY instrument
