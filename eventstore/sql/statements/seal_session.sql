-- A sealer's session: whose rows it sees, and plans that walk the log in order. It looks every few seconds at least; one that is
-- silent for long (its process was stopped) loses its session, and with it the right to seal.
SELECT set_config('fidelog.tenant_id', $1, false), set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false),
       set_config('idle_session_timeout', '15s', false)
