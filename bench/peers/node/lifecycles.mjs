// One round of job lifecycles through a queue in Node, as bench/peers/lifecycles.py does it in Python. The order comes as
// the one argument, in JSON: url, seconds, in_flight (enqueuing calls at once), open (jobs open at once, at most), payload.

const WARM_UP_SECONDS = 1; // V8 compiles what runs often; nothing of this is counted, but the load goes on from it
const DRAIN_SECONDS = 60;
const POLL_MILLISECONDS = 10;

export const order = JSON.parse(process.argv[2]);

const times = [];
const held = [];
let open = 0;

/** Called by a worker for jobs it did: callers may go on. */
export function worked(number = 1) {
  open -= number;
  for (let free = order.open - open; free > 0 && held.length; free -= 1) held.shift()();
}

/**
 * Load the queue and print the answer. `enqueue` sends one job; `completed` is the query that counts, as `number`, all
 * jobs completed so far: a job counts when its completion is in the tables.
 */
export async function measure(pool, enqueue, completed) {
  const number = async () => Number((await pool.query(completed)).rows[0].number);
  const first = await number();
  const loaded = load(enqueue, WARM_UP_SECONDS + order.seconds);
  await sleep(WARM_UP_SECONDS * 1000);
  const started = performance.now();
  const before = await number();
  const warmUp = times.length;
  await sleep(order.seconds * 1000);
  const seconds = (performance.now() - started) / 1000;
  const after = await number();
  const until = times.length;
  await loaded;
  await drain(async () => (await number()) - first);
  const answer = { count: after - before, seconds, sent: times.length, times: times.slice(warmUp, until) };
  console.log(JSON.stringify(answer));
}

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function load(enqueue, seconds) {
  const end = performance.now() + seconds * 1000;
  async function caller() {
    while (performance.now() < end) {
      if (open >= order.open) {
        await new Promise((resolve) => held.push(resolve));
        continue;
      }
      open += 1;
      const began = performance.now();
      await enqueue();
      times.push((performance.now() - began) / 1000);
    }
  }
  await Promise.all(Array.from({ length: order.in_flight }, caller));
}

async function drain(done) {
  const end = performance.now() + DRAIN_SECONDS * 1000;
  while ((await done()) < times.length) {
    if (performance.now() > end) throw new Error(`${times.length} jobs were enqueued and not all completed`);
    await sleep(POLL_MILLISECONDS);
  }
}
