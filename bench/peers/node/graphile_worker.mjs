// graphile-worker, one job an `addJob`, a runner of 16 workers. The configuration is that of its page "Performance", which
// recommends batching for high throughput: a local queue, completions batched. Its completed jobs are gone from the table.

import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

import { measure, order, worked } from "./lifecycles.mjs";

const WORKERS = 16;
const CONNECTIONS = 32;
const COMPLETED = `
  SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('graphile_worker._private_jobs', 'id')), 0)
    - (SELECT count(*) FROM graphile_worker._private_jobs) AS number`;

const logger = new Logger(() => () => {});
const pool = new pg.Pool({ connectionString: order.url, max: CONNECTIONS });
pool.on("error", (error) => console.error(error));
pool.on("connect", (client) => client.on("error", (error) => console.error(error)));
const utils = await makeWorkerUtils({ pgPool: pool, logger });
await utils.migrate();
const runner = await run({
  preset: {
    worker: {
      connectionString: order.url,
      concurrentJobs: WORKERS,
      maxPoolSize: WORKERS + 1,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
      logger,
    },
  },
  noHandleSignals: true,
  parsedCronItems: [],
  taskList: { work: async () => worked() },
});
await measure(pool, () => utils.addJob("work", order.payload), COMPLETED);
await runner.stop();
await utils.release();
await pool.end();
