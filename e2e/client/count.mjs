// Counts the documents of a collection that fit a filter, at whichever member is asked.
//
// Standard input: {"uri": "mongodb://...", "database": "chat", "collection": "messages", "filter": {...}}
// Standard output: {"count": 3}

import { MongoClient } from "mongodb";
import { text } from "node:stream/consumers";

const { uri, database, collection, filter } = JSON.parse(await text(process.stdin));
const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000, readPreference: "primaryPreferred" });
await client.connect();
const count = await client.db(database).collection(collection).countDocuments(filter);
await client.close();
process.stdout.write(JSON.stringify({ count }));
