/** What the coder of the head has seen before it starts. Part of the format: it never changes within a version. */
export const dictionary: Uint8Array = new Uint8Array(0)
