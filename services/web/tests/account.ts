import type { Account, Tokens } from "../src/api/wire";

export const ada: Account = {
  id: "ada",
  username: "ada",
  displayName: "Ada",
  email: "ada@example.org",
  emailVerified: true,
  secondStep: false,
  roles: ["user"],
  createdAt: "2026-01-01T00:00:00Z",
};

/** What logging in is answered with. */
export function tokens(user: Account = ada): Tokens {
  return { user, accessToken: "access", refreshToken: "refresh", tokenType: "Bearer", expiresIn: 600 };
}
