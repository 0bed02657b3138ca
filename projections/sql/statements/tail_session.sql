-- A tail's session: whose rows it sees, and plans that walk the log in order, so that a batch far behind the head does
-- not read all that is between.
SELECT set_config('fidelog.tenant_id', $1, false), set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false)
