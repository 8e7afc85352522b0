import { createSlice, type PayloadAction } from "@reduxjs/toolkit";
import type { User } from "../api/wire";
import { loggedOut } from "../session/slice";

/** Whom we know the name of, by id, and who is online. */
export interface People {
  known: Record<string, User>;
  online: Record<string, boolean>;
}

const nobody: People = { known: {}, online: {} };

const slice = createSlice({
  name: "people",
  initialState: nobody,
  reducers: {
    peopleMet: (state, { payload }: PayloadAction<User[]>) => {
      for (const user of payload) state.known[user.id] = user;
    },
    /** Their account is gone, or never was: what they said is still there. */
    personGone: (state, { payload }: PayloadAction<string>) => {
      state.known[payload] = { id: payload, username: "", displayName: "Deleted account", createdAt: "" };
    },
    presenceChanged: (state, { payload }: PayloadAction<{ userId: string; online: boolean }>) => {
      state.online[payload.userId] = payload.online;
    },
    /** A new connection tells who is online: what an earlier one told may have ended unheard. */
    presenceForgotten: (state) => {
      state.online = {};
    },
  },
  extraReducers: (builder) => builder.addCase(loggedOut, () => nobody),
});

export const { peopleMet, personGone, presenceChanged, presenceForgotten } = slice.actions;
export const people = slice.reducer;
