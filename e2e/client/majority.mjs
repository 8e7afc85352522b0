// Writes to a replica set without a pause, each write acknowledged by a majority, until it is killed. Errors that pass are passed over,
// as the driver's own retries do not cover a fail-over that lasts.
//
// Standard input: {"uri": "mongodb://...", "database": "chat", "addresses": {"host name of a member": "127.0.7.1"}}
// Standard output: the number of each write, once it is acknowledged

import { MongoClient } from "mongodb";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";

const { uri, database, addresses } = JSON.parse(await text(process.stdin));
const client = new MongoClient(uri, {
  writeConcern: { w: "majority", journal: true },
  // Members are called by the names that their certificate holds, and found on this machine.
  lookup(host, options, callback) {
    const address = addresses[host];
    if (!address) callback(new Error(`no member is called ${host}`));
    else if (options.all) callback(null, [{ address, family: 4 }]);
    else callback(null, address, 4);
  },
});
await client.connect();
const collection = client.db(database).collection("bench_of_majority_writes");
for (let number = 0; ; number += 1) {
  for (;;) {
    try {
      await collection.replaceOne({ _id: number % 1000 }, { number }, { upsert: true });
      break;
    } catch (error) {
      console.error(error.message);
      await pause(10);
    }
  }
  process.stdout.write(`${number}\n`);
}
