#!/usr/bin/env node
// Express with http-proxy-middleware, passing everything on to TARGET with kept connections.

import http from "node:http";
import express from "express";
import { createProxyMiddleware } from "http-proxy-middleware";

const [host, port] = process.env.CHATPLATFORM_SERVER__LISTEN.split(":");
const application = express();
application.disable("x-powered-by");
application.use(
  createProxyMiddleware({
    target: process.env.TARGET,
    xfwd: true,
    agent: new http.Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 64 }),
  }),
);
application.listen(Number(port), host);
