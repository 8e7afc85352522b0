import { useEffect, useState } from "react";
import { usePlatform } from "../platform";

/** Somebody's picture, or their initial. Beside it stands the name, so there is nothing in it to be read out. */
export function Avatar({ name, mediaId }: { name: string; mediaId: string | undefined }) {
  const platform = usePlatform();
  const [shown, setShown] = useState<{ mediaId: string; url: string | null } | null>(null);

  useEffect(() => {
    if (mediaId === undefined) return;
    let stale = false;
    void platform.pictures.of(mediaId).then((url) => !stale && setShown({ mediaId, url }));
    return () => {
      stale = true;
    };
  }, [mediaId, platform]);

  const url = shown !== null && shown.mediaId === mediaId ? shown.url : null;
  return (
    <span className="avatar" aria-hidden="true">
      {url === null ? [...name.trim()][0]?.toUpperCase() : <img src={url} alt="" />}
    </span>
  );
}
