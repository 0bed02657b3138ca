import { PgBoss } from "pg-boss";
import pg from "pg";

import { measure, order, worked } from "./lifecycles.mjs";

const WORKERS = 16;
const QUEUE = "work";
const boss = new PgBoss({ connectionString: order.url, max: order.pool ?? 10, useListenNotify: order.notify ?? false });
boss.on("error", (error) => { throw error; });
await boss.start();
await boss.createQueue(QUEUE, { notify: order.notify ?? false });
await boss.work(
  QUEUE,
  { batchSize: order.batch ?? 100, localConcurrency: order.workers ?? WORKERS, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 },
  async (jobs) => worked(jobs.length),
);
const pool = new pg.Pool({ connectionString: order.url, max: 1 });
await measure(
  pool,
  () => boss.send(QUEUE, order.payload),
  "SELECT count(*) AS number FROM pgboss.job WHERE state = 'completed'",
);
await pool.end();
await boss.stop({ graceful: true, timeout: 5000 });
