-- what: Training runs side by side: where each population stood at its last update, best median first.
-- units: those of the metric; quantiles are over the agents of a population; env_steps over all agents.
-- param metric String = '': only this metric; empty for all
-- param run_id String = '': only this run; empty for all
-- param top UInt64 = 20: runs for each metric
SELECT
    metric, run_id,
    max(update) AS last_update,
    argMax(population_metrics.env_steps, update) AS env_steps,
    argMax(population_metrics.best, update) AS best,
    argMax(q95, update) AS top_5_percent,
    argMax(q50, update) AS median,
    argMax(q05, update) AS bottom_5_percent,
    argMax(population_metrics.mean, update) AS mean
FROM population_metrics
WHERE ({metric:String} = '' OR metric = {metric:String}) AND ({run_id:String} = '' OR run_id = {run_id:String})
GROUP BY metric, run_id
ORDER BY metric, median DESC, run_id
LIMIT {top:UInt64} BY metric
