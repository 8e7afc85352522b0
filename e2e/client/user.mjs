// Makes a user of MongoDB who may read and write some databases; one of that name who is there already gets the password and rights.
//
// Standard input: {"uri": "mongodb://...", "user": "...", "password": "...", "databases": ["auth", ...]}
// Prints nothing.

import { MongoClient } from "mongodb";
import { text } from "node:stream/consumers";

const { uri, user, password, databases } = JSON.parse(await text(process.stdin));
const client = new MongoClient(uri, { serverSelectionTimeoutMS: 10_000 });
await client.connect();
const roles = databases.flatMap((db) => ["readWrite", "dbAdmin"].map((role) => ({ role, db })));
const admin = client.db("admin");
const { users } = await admin.command({ usersInfo: user });
await admin.command(users.length ? { updateUser: user, pwd: password, roles } : { createUser: user, pwd: password, roles });
await client.close();
