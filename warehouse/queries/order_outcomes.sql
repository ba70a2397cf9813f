-- what: What became of the orders: filled, canceled, rejected, unknown or still working, and the rates.
-- units: orders, counted once by their last state; rates are fractions of the orders; ordered lots.
-- param run_id String = '': only this run; empty for all
-- param source String = '': only sim, replay, paper or live; empty for all
WITH last_states AS
(
    SELECT
        source, run_id, strategy, instrument, client_order_id,
        argMax(status, sequence) AS status,
        any(lots) AS lots
    FROM orders
    WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
    GROUP BY source, run_id, strategy, instrument, client_order_id
),
filled_lots AS
(
    SELECT source, run_id, instrument, client_order_id, sum(lots) AS filled
    FROM fills
    WHERE ({run_id:String} = '' OR run_id = {run_id:String}) AND ({source:String} = '' OR toString(source) = {source:String})
    GROUP BY source, run_id, instrument, client_order_id
)
SELECT
    toString(last_states.source) AS source, last_states.run_id AS run_id, strategy, last_states.instrument AS instrument,
    count() AS orders,
    countIf(filled > 0) AS orders_with_fills,
    countIf(status = 'FILLED') AS fully_filled,
    countIf(status IN ('CANCELED', 'EXPIRED')) AS canceled,
    countIf(status = 'REJECTED') AS rejected,
    countIf(status = 'UNKNOWN') AS unknown,
    countIf(status NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'UNKNOWN')) AS working,
    orders_with_fills / orders AS fill_rate,
    rejected / orders AS reject_rate,
    sum(filled) / sum(lots) AS filled_lots_share
FROM last_states
LEFT JOIN filled_lots USING (source, run_id, instrument, client_order_id)
GROUP BY source, run_id, strategy, instrument
ORDER BY source, run_id, strategy, instrument
