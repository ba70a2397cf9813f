-- what: Why things did not happen: orders that the gate or the venue refused, and decisions that were not made.
-- units: counts.
-- param run_id String = '': only this run; empty for all
-- param source String = '': only sim, replay, paper or live; empty for all
SELECT source, run_id, strategy, refused, reason, count() AS times
FROM
(
    SELECT toString(source) AS source, run_id, strategy, 'order' AS refused, reason
    FROM orders
    WHERE status = 'REJECTED'
    UNION ALL
    SELECT toString(source) AS source, run_id, strategy, 'decision' AS refused, refusal AS reason
    FROM decisions
    WHERE refusal != ''
    UNION ALL
    SELECT toString(source) AS source, run_id, strategy, 'gate' AS refused, detail AS reason
    FROM risk_events
    WHERE kind = 'REFUSED'
)
WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR source = {source:String})
GROUP BY source, run_id, strategy, refused, reason
ORDER BY source, run_id, strategy, refused, times DESC, reason
