-- A tenant's newest checkpoint, whatever origin it is of: for the status, and for a sealer that finds no state of its own.
CREATE INDEX checkpoints_by_time ON fidelog.checkpoints (tenant_id, signed_at);
