"""The statements that frame a transaction: begin, name the tenant, lock, look at the head, end."""

from __future__ import annotations

from eventstore.statements import statement

BEGIN = statement("eventstore", "begin")
BEGIN_SNAPSHOT = statement("eventstore", "begin_snapshot")
SET_TENANT = statement("eventstore", "set_tenant")
LOCK = statement("eventstore", "lock_tenant")
HEAD = statement("eventstore", "head")
COMMIT = statement("eventstore", "commit")
ROLLBACK = statement("eventstore", "rollback")
STATEMENTS = (BEGIN, BEGIN_SNAPSHOT, SET_TENANT, LOCK, HEAD, COMMIT, ROLLBACK)
