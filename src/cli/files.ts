import { access, constants, mkdir, open, readFile, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { EspalierError, UsageError } from '../errors.ts'
import { foreignFormats } from '../formats/index.ts'
import { readModelFile } from '../formats/onnx/file.ts'
import { MAGIC } from '../formats/pack/layout.ts'
import { readPack } from '../formats/pack/read.ts'
import type { Model } from '../ir/model.ts'
import type { ProgressListener } from '../progress.ts'

/** A model of either form, and the file that it came from. */
export interface LoadedModel {
  readonly model: Model
  readonly path: string
  /** The length of the file itself. */
  readonly fileBytes: number
  /** The bytes of the pack, where it is one. */
  readonly pack?: Uint8Array
}

/**
 * Reads an ONNX file or a pack, told apart by their first bytes. To unpack takes seconds, of which `progress` is told.
 * @throws UsageError when there is no such file, DataError when it is damaged.
 */
export async function loadModel(path: string, progress: ProgressListener): Promise<LoadedModel> {
  const facts = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  if (!facts.isFile())
    throw new UsageError('file-read', 'it is no file', { place: path, hint: 'Give an .onnx or .espalier file.' })
  if (!(await isPack(path))) return { model: await readModelFile(path), path, fileBytes: facts.size }
  const pack = await readBytes(path)
  return { model: inFile(path, () => readPack(pack, { progress })), path, fileBytes: pack.length, pack }
}

/** The whole file. @throws UsageError when it cannot be read. */
export async function readBytes(path: string): Promise<Uint8Array> {
  return readFile(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
}

async function isPack(path: string): Promise<boolean> {
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(MAGIC.length), 0, MAGIC.length, 0)
    return bytesRead === MAGIC.length && MAGIC.every((byte, i) => buffer[i] === byte)
  } finally {
    await file.close()
  }
}

/** Makes sure before long work that its result can be written. @throws UsageError when a folder is missing or a file would be lost. */
export async function checkOutputs(outputs: readonly string[], inputs: readonly string[]): Promise<void> {
  const read = new Set(inputs.map((path) => resolve(path)))
  const seen = new Set<string>()
  for (const path of outputs) {
    const full = resolve(path)
    if (read.has(full) || seen.has(full))
      throw new UsageError(
        'output-path',
        read.has(full) ? 'this file is also read' : 'two results would go into this file',
        {
          place: path,
          hint: 'Give another name.',
        },
      )
    seen.add(full)
    const folder = await stat(dirname(full)).catch(() => undefined)
    if (!folder?.isDirectory())
      throw new UsageError('output-path', `there is no folder ${dirname(path)}`, {
        place: path,
        hint: 'Make the folder first.',
      })
    const there = await stat(full).catch(() => undefined)
    if (there?.isDirectory())
      throw new UsageError('output-path', 'this is a folder', { place: path, hint: 'Give the name of a file.' })
    // A file is replaced, so its folder must let it; a pipe or a device is written to.
    await access(there && !there.isFile() ? full : dirname(full), constants.W_OK).catch((cause: unknown) => {
      throw new UsageError('output-path', `cannot write here: ${reason(cause)}`, {
        place: path,
        hint: 'Give a folder that may be written to.',
        cause,
      })
    })
  }
}

/** Does something with the content of a file; typed errors that do not name a place get the file's name. */
export function inFile<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof EspalierError) || error.place?.startsWith(path)) throw error
    const { code, message, place, hint } = error
    const Same = error.constructor as new (code: string, message: string, details: object) => EspalierError
    throw new Same(code, message, { place: place ? `${path}: ${place}` : path, hint, cause: error })
  }
}

/** Makes a folder and those above it. @throws UsageError when it cannot be made. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: unknown) => {
    throw new UsageError('output-path', `the folder cannot be made: ${(cause as Error).message}`, {
      place: path,
      hint: 'Give a place that may be written to.',
      cause,
    })
  })
}

const modelEndings = ['.onnx', '.espalier', ...Array.from(foreignFormats.values(), (format) => format.ending)]

/** The path with another ending: `models/net.onnx` and `.espalier` make `models/net.espalier`. */
export function withEnding(path: string, ending: string): string {
  const name = basename(path)
  const old = modelEndings.find((known) => name.endsWith(known) && name.length > known.length) ?? ''
  return path.slice(0, path.length - old.length) + ending
}

function unreadable(path: string, cause: unknown): UsageError {
  return new UsageError('file-read', `cannot read the file: ${reason(cause)}`, {
    place: path,
    hint: 'Check the path.',
    cause,
  })
}

function reason(cause: unknown): string {
  if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return 'there is none of this name'
  return cause instanceof Error ? cause.message : String(cause)
}
