-- Clients of a filled log, each with some variants of its values.
CREATE UNLOGGED TABLE IF NOT EXISTS bench.fill_values (
    client     bigint,                -- 0, 1, 2 …
    variant    bigint,
    client_id  text NOT NULL,
    request    bytea NOT NULL,        -- a request hash
    full_name  text NOT NULL,         -- this and the next four: sealed values as they stand in events
    payload    text NOT NULL,
    result     text NOT NULL,
    reason     text NOT NULL,
    error      text NOT NULL,
    PRIMARY KEY (client, variant)
)
