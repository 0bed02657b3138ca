// One round of task lifecycles through a queue. The order comes as the one argument, in JSON: url, seconds, in_flight
// (enqueuing calls at once), open (jobs open at once, at most), payload. The answer is one line of JSON.

const WARM_UP_SECONDS = 1; // V8 compiles what runs often; nothing of this is counted
const DRAIN_MILLISECONDS = 60_000;

export const order = JSON.parse(process.argv[2]);

let sent = 0;
let open = 0;
const held = [];

/** Called by a worker for every job it did: producers may go on. */
export function worked(number = 1) {
  open -= number;
  while (held.length && open < order.open) held.shift()();
}

/**
 * Load the queue and say how many jobs were enqueued and completed meanwhile. `enqueue` sends one job; `completed` is
 * the query that counts, as `number`, all jobs completed so far: a job counts when its completion is in the tables.
 */
export async function measure(pool, enqueue, completed) {
  const number = async () => Number((await pool.query(completed)).rows[0].number);
  const first = await number();
  await load(enqueue, WARM_UP_SECONDS);
  await drain(async () => (await number()) - first);
  const before = await number();
  const started = performance.now();
  await load(enqueue, order.seconds);
  const after = await number();
  const seconds = (performance.now() - started) / 1000;
  await drain(async () => (await number()) - first);
  console.log(JSON.stringify({ count: after - before, seconds, sent, times: [] }));
}

async function load(enqueue, seconds) {
  const end = performance.now() + seconds * 1000;
  async function producer() {
    while (performance.now() < end) {
      if (open >= order.open) {
        await new Promise((resolve) => held.push(resolve));
        continue;
      }
      open += 1;
      await enqueue();
      sent += 1;
    }
  }
  await Promise.all(Array.from({ length: order.in_flight }, producer));
}

async function drain(done) {
  const end = performance.now() + DRAIN_MILLISECONDS;
  while ((await done()) < sent) {
    if (performance.now() > end) throw new Error(`${sent} jobs were enqueued and not all completed`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
