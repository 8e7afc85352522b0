// Reads every document of one database as the bytes that the server keeps, and looks for texts in them.
//
// Standard input: {"uri": "mongodb://...", "database": "chat", "texts": ["..."]}
// Standard output: {"collections": {"messages": 301, ...}, "found": [{"collection": "...", "text": "..."}]}

import { MongoClient } from "mongodb";
import { text } from "node:stream/consumers";

const { uri, database, texts } = JSON.parse(await text(process.stdin));
// As they are, and as they would look if they were merely encoded.
const traces = texts.flatMap((text) => {
  const bytes = Buffer.from(text, "utf8");
  return [bytes, Buffer.from(bytes.toString("base64").replace(/=+$/, "")), Buffer.from(bytes.toString("hex"))].map((trace) => ({ text, trace }));
});

const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000, raw: true });
await client.connect();
const result = { collections: {}, found: [] };
for (const { name } of await client.db(database).listCollections({}, { nameOnly: true, raw: false }).toArray()) {
  let count = 0;
  for await (const document of client.db(database).collection(name).find()) {
    count += 1;
    for (const { text, trace } of traces) {
      if (document.includes(trace)) result.found.push({ collection: name, text });
    }
  }
  result.collections[name] = count;
}
await client.close();
process.stdout.write(JSON.stringify(result));
