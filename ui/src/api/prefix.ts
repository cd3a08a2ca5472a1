/** What every address of this server begins with, if it lies behind a path; the server writes it into the page. */
export const PREFIX = globalThis.document?.querySelector<HTMLMetaElement>('meta[name="lathe-prefix"]')?.content ?? ''
