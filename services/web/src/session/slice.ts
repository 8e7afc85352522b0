import { createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { Account } from "../api/wire";

export type Session =
  | { state: "restoring" }
  | { state: "out"; reason?: string }
  | { state: "in"; account: Account };

const slice = createSlice({
  name: "session",
  initialState: { state: "restoring" } as Session,
  reducers: {
    loggedIn: (_, { payload }: PayloadAction<Account>): Session => ({ state: "in", account: payload }),
    accountChanged: (state, { payload }: PayloadAction<Account>) => {
      if (state.state === "in") state.account = payload;
    },
    secondStepChanged: (state, { payload }: PayloadAction<boolean>) => {
      if (state.state === "in") state.account.secondStep = payload;
    },
    loggedOut: (_, { payload }: PayloadAction<string | undefined>): Session =>
      payload === undefined ? { state: "out" } : { state: "out", reason: payload },
  },
});

export const { loggedIn, accountChanged, secondStepChanged, loggedOut } = slice.actions;
export const session = slice.reducer;
