-- what: One metric of a population over its updates.
-- units: those of the metric; quantiles are over the agents; env_steps over all agents.
-- param run_id String: the training run
-- param metric String: which metric
SELECT update, env_steps, q05, q25, q50, q75, q95, mean, best
FROM population_metrics
WHERE run_id = {run_id:String} AND metric = {metric:String}
ORDER BY update
