-- what: How many strategies were ever tried on each data set: the number that the deflated Sharpe ratio has to respect.
-- units: trials are distinct strategies over all runs; times in nanoseconds since 1970 UTC.
-- param dataset_digest String = '': only this data set; empty for all
SELECT
    dataset_digest,
    count() AS trials,
    uniqExact(run_id) AS runs,
    min(recorded_ns) AS first_ns,
    max(recorded_ns) AS last_ns
FROM trials
WHERE {dataset_digest:String} = '' OR dataset_digest = {dataset_digest:String}
GROUP BY dataset_digest
ORDER BY trials DESC, dataset_digest
