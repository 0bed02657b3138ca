// pg-boss, one job a `send`. As its page "Workers" has it for throughput: jobs fetched in batches, several
// workers by `localConcurrency`, and `burstWhenBatchFull`, so that nobody waits for a poll while there is work. Four workers did more than sixteen.

import { PgBoss } from "pg-boss";
import pg from "pg";

import { measure, order, worked } from "./lifecycles.mjs";

const QUEUE = "work";
const CONNECTIONS = 32;
const WORKERS = { localConcurrency: 4, batchSize: 100, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
const COMPLETED = `SELECT count(*) AS number FROM pgboss.job WHERE name = '${QUEUE}' AND state = 'completed'`;

const boss = new PgBoss({ connectionString: order.url, max: CONNECTIONS });
boss.on("error", (error) => console.error(error));
await boss.start();
await boss.createQueue(QUEUE);
await boss.work(QUEUE, WORKERS, async (jobs) => worked(jobs.length));
const pool = new pg.Pool({ connectionString: order.url, max: 1 });
await measure(pool, () => boss.send(QUEUE, order.payload), COMPLETED);
await pool.end();
await boss.stop();
