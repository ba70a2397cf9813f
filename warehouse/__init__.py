"""ClickHouse: one schema for sim, replay, paper and live."""
