-- P3, P5, P11: everything below is read after this row is locked. NO KEY UPDATE: foreign keys are not held up.
SELECT 1 FROM fidelog.logs WHERE tenant_id = $1 FOR NO KEY UPDATE
