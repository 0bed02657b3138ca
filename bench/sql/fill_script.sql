-- The events of a block, kept in the database so that filling goes on later where it ended. No table of Fidelog's.
CREATE UNLOGGED TABLE IF NOT EXISTS bench.fill_script (
    place     smallint PRIMARY KEY,   -- within a block
    type      text NOT NULL,
    slot      smallint NOT NULL,      -- which task of the block, or which of its new clients; -1: any client
    version   smallint NOT NULL,      -- of the task's stream
    attempt   smallint NOT NULL,
    claim     smallint,               -- the place of the TaskClaimed whose token the event names
    command   smallint NOT NULL,      -- the place of the first event of the same command
    lease     smallint NOT NULL
)
