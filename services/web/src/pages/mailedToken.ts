import { useLocation } from "react-router";

/** The token of the link that was followed. It is in the fragment, which no server sees. */
export function useMailedToken(): string {
  return new URLSearchParams(useLocation().hash.slice(1)).get("token") ?? "";
}
