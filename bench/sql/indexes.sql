-- Indexes of table $1: name, the constraint of that name if there is one, and how it is made.
SELECT i.indexrelid::regclass::text, c.conname, coalesce(pg_get_constraintdef(c.oid), pg_get_indexdef(i.indexrelid))
FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid AND c.conrelid = i.indrelid
WHERE i.indrelid = $1::text::regclass ORDER BY i.indexrelid
