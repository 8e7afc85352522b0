/** Pictures of people, each fetched once for this page: an `<img>` could not show who asks. */
export class Pictures {
  private readonly known = new Map<string, Promise<string | null>>();

  constructor(private readonly fetchContent: (mediaId: string) => Promise<Blob>) {}

  /** An address for `<img>`; null where there is none to be seen. */
  of(mediaId: string): Promise<string | null> {
    let picture = this.known.get(mediaId);
    if (!picture) {
      picture = this.fetchContent(mediaId).then(
        (content) => (content.type.startsWith("image/") ? URL.createObjectURL(content) : null),
        () => {
          // Asked again the next time: it may have been the network.
          this.known.delete(mediaId);
          return null;
        },
      );
      this.known.set(mediaId, picture);
    }
    return picture;
  }

  forget(): void {
    for (const picture of this.known.values()) void picture.then((url) => url !== null && URL.revokeObjectURL(url));
    this.known.clear();
  }
}
