import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds a platform: the address that `cargo e2e url` prints. */
const platform = process.env["CHATPLATFORM_URL"] ?? "https://localhost:8443";
const proxied = { target: platform, changeOrigin: true, secure: false };

export default defineConfig({
  plugins: [react()],
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0 },
  server: {
    proxy: { "/api": proxied, "/socket.io": { ...proxied, ws: true } },
  },
  test: { environment: "jsdom", include: ["tests/**/*.test.{ts,tsx}"] },
});
