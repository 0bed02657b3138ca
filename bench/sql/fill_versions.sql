-- Versions of the events of clients' streams, which depend on all before them. Those of tasks stand in the script.
CREATE UNLOGGED TABLE IF NOT EXISTS bench.fill_versions (
    position   bigint PRIMARY KEY,
    version    bigint NOT NULL
)
