-- Whether $1 lies in the past, and whether a batch that is still being written may have been recorded by then.
SELECT $1::timestamptz < clock_timestamp(), $1::timestamptz > clock_timestamp() - interval '60 seconds'
