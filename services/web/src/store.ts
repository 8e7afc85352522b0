import { configureStore, createSlice, type PayloadAction } from "@reduxjs/toolkit";
import { useDispatch, useSelector } from "react-redux";
import { conversations } from "./conversations/slice";
import { messages } from "./messages/slice";
import { people } from "./people/slice";
import { session } from "./session/slice";

export type Connection = "idle" | "connecting" | "connected";

const connection = createSlice({
  name: "connection",
  initialState: "idle" as Connection,
  reducers: { connectionChanged: (_, { payload }: PayloadAction<Connection>) => payload },
});

export const { connectionChanged } = connection.actions;

export function makeStore() {
  return configureStore({
    reducer: { session, people, conversations, messages, connection: connection.reducer },
  });
}

export type Store = ReturnType<typeof makeStore>;
export type State = ReturnType<Store["getState"]>;

export const useAppDispatch = useDispatch.withTypes<Store["dispatch"]>();
export const useAppSelector = useSelector.withTypes<State>();
