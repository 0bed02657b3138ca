-- Events $1 to $2 of a mixed log before they have versions: blocks of as many as the script has. tasks: of a block,
-- clients: that it onboards. Which client an event is about is scattered.
CREATE OR REPLACE FUNCTION bench.fill_placed(first bigint, last bigint, tasks bigint, clients bigint)
RETURNS TABLE (
    "position" bigint, block bigint, place smallint, type text, slot smallint, version smallint, attempt smallint,
    claim smallint, command smallint, lease smallint, client bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.position, p.block, s.place, s.type, s.slot, s.version, s.attempt, s.claim, s.command, s.lease,
           CASE WHEN s.type = 'ClientOnboarded' THEN p.block * clients + s.slot
                ELSE abs(hashint8extended(CASE WHEN s.slot < 0 THEN p.position ELSE p.block * tasks + s.slot END, 7))
                     % ((p.block + 1) * clients) END
    FROM (
        SELECT g AS position, (g - 1) / length.events AS block, (g - 1) % length.events AS place
        FROM (SELECT count(*) AS events FROM bench.fill_script) AS length, generate_series(first, last) AS g) AS p
    JOIN bench.fill_script AS s ON s.place = p.place
$$
