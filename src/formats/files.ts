/** Files written whole or not at all. */
import { open, realpath, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { UsageError } from '../errors.ts'

let counter = 0

/**
 * Writes `content` to a temporary name beside `path`, flushes it to the disk and renames it, so that a crash, a full disk or
 * a second writer never leaves half a file. A symbolic link stays one, and what it leads to is replaced. What is no file,
 * such as a pipe or /dev/null, is written to as it stands.
 * @param content bytes, or chunks of them that are written one after the other.
 * @returns the length of the file in bytes.
 * @throws UsageError when the file cannot be written (no such folder, no permission, no space).
 */
export async function writeFileAtomic(
  path: string,
  content: Uint8Array | string | readonly Uint8Array[],
): Promise<number> {
  const chunks = typeof content === 'string' ? [new TextEncoder().encode(content)] : [content].flat()
  const target = await realpath(path).catch(() => path)
  const facts = await stat(target).catch(() => undefined)
  const inPlace = facts !== undefined && !facts.isFile() && !facts.isDirectory()
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}-${counter++}.tmp`)
  let file: FileHandle | undefined
  try {
    file = await open(inPlace ? target : temporary, inPlace ? 'w' : 'wx')
    let bytes = 0
    for (const batch of batches(chunks)) {
      await writeAll(file, batch)
      bytes += batch.length
    }
    if (!inPlace) await file.sync()
    await file.close()
    file = undefined
    if (!inPlace) await rename(temporary, target)
    return bytes
  } catch (error) {
    await file?.close().catch(() => undefined)
    await rm(temporary, { force: true }).catch(() => undefined)
    throw new UsageError('file-write', `cannot write the file: ${(error as Error).message}`, {
      place: path,
      hint: 'Check that the folder exists, may be written to and has room.',
      cause: error,
    })
  }
}

/** Small chunks joined to a buffer of a megabyte, large ones cut to pieces that one call of the system takes. */
function* batches(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  const SMALL = 2 ** 20
  const LARGE = 2 ** 28
  let pending: Uint8Array[] = []
  let size = 0
  for (const chunk of chunks) {
    if (size + chunk.length <= SMALL) {
      pending.push(chunk)
      size += chunk.length
      continue
    }
    if (size > 0) yield Buffer.concat(pending)
    pending = []
    size = 0
    if (chunk.length < SMALL) {
      pending.push(chunk)
      size = chunk.length
    } else for (let i = 0; i < chunk.length; i += LARGE) yield chunk.subarray(i, i + LARGE)
  }
  if (size > 0) yield Buffer.concat(pending)
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let position = 0
  while (position < bytes.length) position += (await file.write(bytes, position, bytes.length - position)).bytesWritten
}
