import { readdir, readFile, stat } from 'node:fs/promises'
import { DataError, UsageError } from '../errors.ts'

/** The names in a folder, sorted. @throws UsageError when it is not there, DataError when it is empty. */
export async function listFolder(folder: string): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (cause) {
    throw unreadable(folder, 'folder', cause)
  }
  if (names.length === 0)
    throw new DataError('data-empty', 'the folder is empty', { place: folder, hint: 'Put the data set into it.' })
  return names.sort()
}

/** The bytes of a file. @throws UsageError when it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw unreadable(path, 'file', cause)
  }
}

/** The length of a file in bytes. @throws UsageError when it is not there. */
export async function fileLength(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (cause) {
    throw unreadable(path, 'file', cause)
  }
}

/** Says in words of ours why a path could not be opened. */
export function unreadable(path: string, kind: 'file' | 'folder', cause: unknown): UsageError {
  const reason = (cause as NodeJS.ErrnoException).code
  const problem =
    reason === 'ENOENT'
      ? `there is no such ${kind}`
      : reason === 'ENOTDIR'
        ? 'it is not a folder'
        : reason === 'EISDIR'
          ? 'it is a folder, not a file'
          : reason === 'EACCES'
            ? `the ${kind} may not be read`
            : `the ${kind} cannot be read (${reason ?? String(cause)})`
  return new UsageError('data-path', problem, { place: path, hint: 'Check the path after the colon.', cause })
}
