-- what: Strategies side by side over their evaluated episodes, simulated and recorded apart: does live data agree?
-- units: PnL and drawdown in tick-lots; sharpe is mean over sample deviation of an episode's PnL (not annualised);
-- units: win_rate is the fraction of episodes with positive PnL; standard_error is of the mean PnL.
-- param run_id String = '': only this run; empty for all
-- param source String = '': only sim, replay, paper or live; empty for all
SELECT
    toString(source) AS source, run_id, strategy,
    count() AS episodes,
    avg(pnl_tick_lots) AS mean_pnl,
    if(count() > 1, stddevSamp(pnl_tick_lots) / sqrt(count()), NULL) AS standard_error,
    if(count() > 1 AND stddevSamp(pnl_tick_lots) > 0, avg(pnl_tick_lots) / stddevSamp(pnl_tick_lots), NULL) AS sharpe,
    max(max_drawdown) AS worst_drawdown,
    countIf(pnl_tick_lots > 0) / count() AS win_rate,
    avg(fills) AS mean_fills,
    avg(traded_lots) AS mean_traded_lots,
    avg(abs(final_inventory)) AS mean_abs_final_inventory
FROM episodes
WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
GROUP BY source, run_id, strategy
ORDER BY source, run_id, mean_pnl DESC, strategy
