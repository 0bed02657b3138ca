-- Tiles of leaves, each after one of the positions: the leaves with a 0x01 after each but the last, the positions and times of
-- their rows as 8 bytes each, and all their texts, from which a caller knows that nothing in them had to be escaped. Who calls
-- believes nothing of it: see eventstore/verifying/derived.py. A row with a null where there is never one, or with a form that no
-- leaf has, gives a 0x01 of its own, so that there are more leaves than rows.
-- Short texts are joined before long ones are: each || copies both.
SELECT before, convert_to(tile.leaves, 'UTF8'), tile.positions, tile.times, convert_to(tile.texts, 'UTF8')
FROM unnest(%(befores)s::bigint[]) AS before, LATERAL (
    SELECT string_agg(coalesce(
               '{"actor":"' || actor
               || CASE WHEN causation_id IS NULL THEN '","causation_id":null,"command_id":"'
                       ELSE '","causation_id":"' || causation_id || '","command_id":"' END
               || command_id || ('","correlation_id":"' || correlation_id || '","data":') || data::text
               || ((CASE WHEN effective_at IS NULL THEN ',"effective_at":null,"event_id":"'
                         WHEN effective_at >= '0001-01-01 00:00:00+00' AND effective_at < '10000-01-01 00:00:00+00'
                         THEN ',"effective_at":"' || to_char(effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                              || '","event_id":"' END
                    || event_id || '","format":' || format
                    || CASE WHEN idempotency_key IS NULL THEN ',"idempotency_key":null'
                            ELSE ',"idempotency_key":"' || encode(idempotency_key, 'hex') || '"' END)
                   || (CASE WHEN on_behalf_of IS NULL THEN ',"on_behalf_of":null,"position":'
                            ELSE ',"on_behalf_of":"' || on_behalf_of || '","position":' END
                       || position || ',"recorded_at":"'
                       || CASE WHEN recorded_at >= '0001-01-01 00:00:00+00' AND recorded_at < '10000-01-01 00:00:00+00'
                               THEN to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END
                       || CASE WHEN request_hash IS NULL THEN '","request_hash":null,"schema_version":'
                               ELSE '","request_hash":"' || encode(request_hash, 'hex') || '","schema_version":' END
                       || schema_version)
                   || (',"stream":"' || stream
                       || CASE WHEN subjects = '{}' THEN '","subjects":[],"tenant":"'
                               WHEN array_ndims(subjects) = 1 AND array_lower(subjects, 1) = 1
                                   AND array_position(subjects, NULL) IS NULL
                               THEN '","subjects":["' || array_to_string(subjects, '","') || '"],"tenant":"' END
                       || tenant_id || '","type":"' || type || '","version":' || version || '}')),
               E'\x01'), E'\x01') AS leaves,
           string_agg(int8send(position), '') AS positions,
           string_agg(timestamptz_send(recorded_at), '') AS times,
           concat(string_agg(actor || correlation_id || stream || array_to_string(subjects, '') || tenant_id || type, ''),
                  string_agg(on_behalf_of, '')) AS texts
    FROM (
        SELECT * FROM fidelog.events
        WHERE tenant_id = %(tenant)s AND position > before AND position <= before + 256
        ORDER BY position
    ) AS rows
) AS tile
