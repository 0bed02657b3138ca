SELECT pg_total_relation_size('fidelog.events'), pg_database_size(current_database())
