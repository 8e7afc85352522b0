// Asks one member of a replica set how it sees the set.
//
// Standard input: {"uri": "mongodb://...&directConnection=true"}
// Standard output: {"primary": "host:port", "hosts": ["host:port", ...]}; without a primary, `primary` is left out

import { MongoClient } from "mongodb";
import { text } from "node:stream/consumers";

const { uri } = JSON.parse(await text(process.stdin));
const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5_000 });
await client.connect();
const { primary, hosts } = await client.db("admin").command({ hello: 1 });
await client.close();
process.stdout.write(JSON.stringify({ primary, hosts }));
