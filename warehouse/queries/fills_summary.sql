-- what: How each strategy traded: fills, lots, how much of it as maker, what it paid, at which average prices.
-- units: lots; ticks (volume-weighted); fees 1e-8 quote currency, positive is paid; maker_share is a fraction of the lots.
-- param run_id String = '': only this run; empty for all
-- param source String = '': only sim, replay, paper or live; empty for all
SELECT
    toString(source) AS source, run_id, strategy, instrument,
    count() AS fills,
    sum(toInt128(lots)) AS traded_lots,
    sumIf(toInt128(lots), side = 'BUY') AS bought_lots,
    sumIf(toInt128(lots), side = 'SELL') AS sold_lots,
    countIf(liquidity = 'MAKER') AS maker_fills,
    sumIf(lots, liquidity = 'MAKER') / sum(lots) AS maker_share,
    sum(toInt128(fee_e8)) AS fees_e8,
    sumIf(toInt128(price_tick) * lots, side = 'BUY') / nullIf(sumIf(lots, side = 'BUY'), 0) AS average_buy_tick,
    sumIf(toInt128(price_tick) * lots, side = 'SELL') / nullIf(sumIf(lots, side = 'SELL'), 0) AS average_sell_tick
FROM fills
WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
GROUP BY source, run_id, strategy, instrument
ORDER BY source, run_id, strategy, instrument
