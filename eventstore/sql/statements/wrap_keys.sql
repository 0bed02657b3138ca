-- P8: keys wrapped anew under the epoch $5. One that was destroyed meanwhile, or wrapped already, stays as it is.
WITH wrapped_now AS (
    UPDATE fidelog.client_keys AS k SET epoch = $5::bigint, wrapped = w.wrapped
    FROM unnest($2::text[], $3::uuid[], $4::bytea[]) AS w (subject, key_id, wrapped)
    WHERE k.tenant_id = $1 AND k.subject = w.subject AND k.key_id = w.key_id
      AND k.wrapped IS NOT NULL AND k.epoch < $5::bigint
    RETURNING 1)
SELECT count(*) FROM wrapped_now
