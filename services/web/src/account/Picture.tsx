import { useRef, useState } from "react";
import { Refused } from "../api/client";
import type { Account } from "../api/wire";
import { Avatar } from "../people/Avatar";
import { usePlatform } from "../platform";
import { accountChanged } from "../session/slice";
import { useAppDispatch } from "../store";

/** One's own picture, as everybody on the platform sees it. */
export function Picture({ account }: { account: Account }) {
  const platform = usePlatform();
  const dispatch = useAppDispatch();
  const chooser = useRef<HTMLInputElement>(null);
  const [said, setSaid] = useState<{ text: string; isFault: boolean } | null>(null);
  const [busy, setBusy] = useState(false);

  async function show(avatarId: () => Promise<string | null>, done: string) {
    setBusy(true);
    try {
      dispatch(accountChanged(await platform.api.changeMe({ avatarId: await avatarId() })));
      setSaid({ text: done, isFault: false });
    } catch (error) {
      setSaid({ text: error instanceof Refused ? error.message : "The platform cannot be reached. Please try again.", isFault: true });
    }
    setBusy(false);
  }

  function choose(file: File | undefined) {
    if (!file) return;
    if (!file.type.startsWith("image/")) return setSaid({ text: "Please choose an image.", isFault: true });
    void show(async () => (await platform.api.upload(file)).id, "This is your picture now.");
  }

  return (
    <section aria-labelledby="picture">
      <h2 id="picture">Picture</h2>
      <div className="actions">
        <Avatar name={account.displayName} mediaId={account.avatarId} />
        <button type="button" disabled={busy} onClick={() => chooser.current?.click()}>
          {account.avatarId === undefined ? "Choose a picture" : "Choose another picture"}
        </button>
        {account.avatarId !== undefined && (
          <button type="button" className="quiet" disabled={busy} onClick={() => void show(async () => null, "You have no picture now.")}>
            Remove
          </button>
        )}
        <input ref={chooser} type="file" accept="image/*" hidden aria-label="Picture" onChange={(event) => choose(event.target.files?.[0])} />
      </div>
      {said !== null && (
        <p role={said.isFault ? "alert" : "status"} className={said.isFault ? "error" : "hint"}>
          {said.text}
        </p>
      )}
      <p className="hint">Everybody who is logged in here can see it.</p>
    </section>
  );
}
