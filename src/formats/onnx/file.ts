/** ONNX models in files, with the data that lies beside them. Node only. */
import { closeSync, fstatSync, openSync, readSync, realpathSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'
import { DataError, UsageError } from '../../errors.ts'
import type { Model } from '../../ir/model.ts'
import { byteLength } from '../../tensor/tensor.ts'
import { writeFileAtomic } from '../files.ts'
import { readModel, type ReadOptions } from './read.ts'
import type { ExternalData } from './tensors.ts'
import { encodeModel } from './write.ts'

/** Beyond this many bytes of weights a model is written with external data; protobuf ends at 2 GiB. */
const EXTERNAL_FROM = 1.9e9

/**
 * Reads a model and the external data in its folder.
 * @throws UsageError when there is no such file; otherwise as `readModel`.
 */
export async function readModelFile(path: string, options: Pick<ReadOptions, 'keepOpset'> = {}): Promise<Model> {
  const bytes = await readWhole(path)
  return readModel(bytes, { ...options, owned: true, place: path, externalData: externalDataIn(dirname(path)) })
}

async function readWhole(path: string): Promise<Uint8Array> {
  let file
  try {
    file = await open(path, 'r')
    const { size } = await file.stat()
    if (size >= 2 ** 31)
      throw new DataError('onnx-too-large', `the file has ${size} bytes, and an ONNX file at most 2 GB`, {
        place: path,
        hint: 'Export the model with external data.',
      })
    const bytes = new Uint8Array(size)
    let position = 0
    while (position < size) {
      const { bytesRead } = await file.read(bytes, position, size - position, position)
      if (bytesRead === 0) return bytes.subarray(0, position)
      position += bytesRead
    }
    return bytes
  } catch (error) {
    if (error instanceof DataError) throw error
    throw new UsageError('file-read', `cannot read the file: ${(error as Error).message}`, {
      place: path,
      hint: 'Check the path.',
      cause: error,
    })
  } finally {
    await file?.close()
  }
}

/**
 * Gives access to external data in `folder` and below, and nowhere else: no absolute path, no way up, no symbolic link that
 * leads out. @throws DataError from the function it returns.
 */
export function externalDataIn(folder: string): ExternalData {
  return (location, { offset, length }) => {
    const place = join(folder, location)
    const bad = (message: string, hint: string): DataError => new DataError('external-data', message, { place, hint })
    const outside = () =>
      new DataError('external-data', `external data at '${location}' lies outside the folder of the model`, {
        place: folder,
        hint: 'Move it into this folder, and write the model with its name there.',
      })
    const parts = location.split(/[\\/]/)
    if (
      location === '' ||
      isAbsolute(location) ||
      /^[A-Za-z]:/.test(location) ||
      parts.includes('..') ||
      location.includes('\0')
    )
      throw outside()
    let descriptor: number | undefined
    try {
      const root = realpathSync(folder)
      const real = realpathSync(place)
      if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) throw outside()
      descriptor = openSync(real, 'r')
      const facts = fstatSync(descriptor)
      if (!facts.isFile()) throw bad(`external data '${location}' is no file`, 'Put the data file beside the model.')
      const count = length ?? facts.size - offset
      if (count < 0 || offset + count > facts.size)
        throw bad(
          `bytes ${offset} to ${offset + count} are wanted of a file of ${facts.size} bytes`,
          'The data file is cut short or belongs to another model.',
        )
      return readRange(descriptor, offset, count, place)
    } catch (error) {
      if (error instanceof DataError) throw error
      throw bad(`external data cannot be read: ${(error as Error).message}`, 'Put the data file beside the model.')
    } finally {
      if (descriptor !== undefined) closeSync(descriptor)
    }
  }
}

function readRange(descriptor: number, offset: number, length: number, place: string): Uint8Array {
  const result = new Uint8Array(length)
  let position = 0
  while (position < length) {
    const read = readSync(descriptor, result, position, Math.min(length - position, 2 ** 30), offset + position)
    if (read === 0) throw new DataError('external-data', 'the data file ended early', { place })
    position += read
  }
  return result
}

export interface WriteFileOptions {
  /** Put large tensors into `<name>.data` beside the model. Default: only when the model would pass 2 GB. */
  readonly externalData?: boolean
}

/**
 * Writes a model to a temporary name and renames it; with external data, the data file first.
 * @returns the bytes written, of both files where there are two.
 * @throws UsageError when a file cannot be written; otherwise as `writeModel`.
 */
export async function writeModelFile(path: string, model: Model, options: WriteFileOptions = {}): Promise<number> {
  let bytes = 0
  for (const tensor of model.graph.initializers.values()) bytes += byteLength(tensor)
  const location = `${basename(path)}.data`
  const external = options.externalData ?? bytes > EXTERNAL_FROM
  const encoded = encodeModel(model, external ? { externalData: { location } } : {})
  let written = 0
  if (external) written += await writeFileAtomic(join(dirname(path), location), encoded.data)
  return written + (await writeFileAtomic(path, encoded.model))
}
