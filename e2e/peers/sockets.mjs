#!/usr/bin/env node
// Socket.IO's own server: everybody is in the room of their group, and what one sends goes to all. Nothing is kept but the last number.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server } from "socket.io";

const [host, port] = process.env.CHATPLATFORM_SERVER__LISTEN.split(":");
const recovery = process.env.RECOVERY === "true" && { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } };
const http = createServer();
const io = new Server(http, { transports: ["websocket"], ...recovery });
const last = new Map();

io.on("connection", (socket) => {
  const { userId, conversationId } = socket.handshake.auth;
  if (!socket.recovered) socket.join(conversationId);
  socket.on("message:send", ({ conversationId, text }, answer) => {
    const seq = (last.get(conversationId) ?? 0) + 1;
    last.set(conversationId, seq);
    const createdAt = new Date().toISOString();
    const message = {
      id: randomUUID(),
      conversationId,
      seq,
      changeSeq: seq,
      senderId: userId,
      text,
      createdAt,
      reactions: {},
      mediaIds: [],
    };
    io.to(conversationId).emit("message:new", message);
    answer({ ok: true, message });
  });
});
http.listen({ port: Number(port), host, backlog: 4096 });
