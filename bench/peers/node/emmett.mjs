// Emmett on PostgreSQL: one event an `appendToStream`, pooled connections, as its page "PostgreSQL" has it. The order, one
// argument of JSON: url, in_flight, data, type, streams (0: each event in a new one), and `seconds` or `number` of events.

import { getPostgreSQLEventStore } from "@event-driven-io/emmett-postgresql";
import pg from "pg";

const WARM_UP_SECONDS = 1; // V8 compiles what runs often; nothing of this is counted
const CONNECTIONS = 32;

const order = JSON.parse(process.argv[2]);
const pool = new pg.Pool({ connectionString: order.url, max: CONNECTIONS });
const store = getPostgreSQLEventStore(order.url, { connectionOptions: { pool } });
const first = order.streams ? 0 : (Date.now() % 1e6) * 1e6; // a run's new streams are no other's; names as long as ours
let sent = 0;

async function load(goesOn) {
  const times = [];
  async function caller() {
    while (goesOn()) {
      const number = sent++;
      const name = order.streams ? number % order.streams : first + number;
      const stream = `client-w-${String(name).padStart(12, "0")}`;
      const began = performance.now();
      await store.appendToStream(stream, [{ type: order.type, data: order.data }]);
      times.push((performance.now() - began) / 1000);
    }
  }
  await Promise.all(Array.from({ length: order.in_flight }, caller));
  return times;
}

const until = (seconds) => {
  const end = performance.now() + seconds * 1000;
  return () => performance.now() < end;
};

await store.schema.migrate();
if (order.seconds) await load(until(WARM_UP_SECONDS));
const started = performance.now();
const times = await load(order.seconds ? until(order.seconds) : () => sent < order.number);
const seconds = (performance.now() - started) / 1000;
console.log(JSON.stringify({ count: times.length, seconds, sent, times }));
await store.close();
await pool.end();
