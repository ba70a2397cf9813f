-- what: What the tables hold and how well they compress.
-- units: rows as stored, replaced ones included until they are merged; bytes; compression is 1 - stored / uncompressed.
SELECT
    table,
    sum(rows) AS rows,
    sum(data_uncompressed_bytes) AS uncompressed_bytes,
    sum(bytes_on_disk) AS stored_bytes,
    1 - stored_bytes / nullIf(uncompressed_bytes, 0) AS compression
FROM system.parts
WHERE active AND database = currentDatabase()
GROUP BY table
ORDER BY stored_bytes DESC
