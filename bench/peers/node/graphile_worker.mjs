import { makeWorkerUtils, run, Logger } from "graphile-worker";
import pg from "pg";

import { measure, order, worked } from "./lifecycles.mjs";

const WORKERS = 16;
const quiet = new Logger(() => () => {});
const pgPool = new pg.Pool({ connectionString: order.url, max: order.pool ?? 10 });
const utils = await makeWorkerUtils({ pgPool, logger: quiet });
await utils.migrate();
const L = order.local ?? 500, D = order.delay ?? 0;
const runner = await run({
  preset: {
    worker: {
      connectionString: order.url, concurrentJobs: WORKERS, maxPoolSize: WORKERS + 1, logger: quiet,
      localQueue: { size: L }, completeJobBatchDelay: D, failJobBatchDelay: D,
    },
  },
  parsedCronItems: [],
  noHandleSignals: true,
  taskList: { work: async () => worked() },
});
const K = order.bulk ?? 1;
await measure(
  pgPool,
  () => utils.addJob("work", order.payload),
  `SELECT coalesce((SELECT last_value FROM pg_sequences WHERE schemaname='graphile_worker' and sequencename like '%jobs_id_seq%'),0) - (SELECT count(*) FROM graphile_worker._private_jobs) AS number`,
);
await runner.stop();
await utils.release();
await pgPool.end();
