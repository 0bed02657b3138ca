-- Rows written to the tables that writes and tails change, and dead rows in them, as PostgreSQL counts them.
SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint, sum(n_dead_tup)::bigint
FROM pg_stat_user_tables WHERE schemaname = 'fidelog'
