-- A tail's session: whose rows it sees, and plans that walk the log in order, so that a batch far behind the head does
-- not read all that is between. Its commits do not wait for the disk: what it writes is derived from the log and stands
-- in one transaction with its checkpoint, so that a crash of the server takes back both, and it is written again. (Not
-- for a tail that tells what it wrote to others, who could not forget it.)
SELECT set_config('fidelog.tenant_id', $1, false), set_config('enable_seqscan', 'off', false),
       set_config('enable_bitmapscan', 'off', false), set_config('enable_sort', 'off', false),
       set_config('synchronous_commit', 'off', false)
