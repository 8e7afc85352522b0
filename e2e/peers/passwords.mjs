#!/usr/bin/env node
// Accounts kept in memory by Express, their passwords as the auth service keeps them, by the reference implementation of Argon2 in C.

import { randomBytes } from "node:crypto";
import argon2 from "argon2";
import express from "express";

const [host, port] = process.env.CHATPLATFORM_SERVER__LISTEN.split(":");
const parameters = { type: argon2.argon2id, memoryCost: 19456, timeCost: 2, parallelism: 1 };
const hashes = new Map();
const token = () => randomBytes(32).toString("base64url");

const application = express();
application.disable("x-powered-by");
application.use(express.json());
application.post("/api/v1/auth/register", async ({ body }, answer) => {
  hashes.set(body.username, await argon2.hash(body.password, parameters));
  answer.status(201).json({ accessToken: token(), refreshToken: token() });
});
application.post("/api/v1/auth/login", async ({ body }, answer) => {
  const hash = hashes.get(body.username);
  const right = hash !== undefined && (await argon2.verify(hash, body.password));
  if (right) answer.json({ accessToken: token(), refreshToken: token() });
  else answer.status(401).json({ code: "wrong" });
});
application.listen(Number(port), host);
