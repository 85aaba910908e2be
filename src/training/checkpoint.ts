/**
 * Checkpoints of a training run as bytes: `ESPTRAIN`, a version, the length of a JSON header, the header, the tensors it
 * lists one after the other, and a CRC-32 of all that. Everything is little endian. A checkpoint is private to the
 * version of Espalier that wrote it.
 */
import { crc32 } from '../codecs/crc32.ts'
import { DataError } from '../errors.ts'
import { bytesOf, createTensor, elementCount, type Tensor } from '../tensor/tensor.ts'
import { dtypes, type DataOf, type DType } from '../tensor/dtype.ts'
import type { EpochRecord } from './history.ts'

/** Where checkpoints are kept: a file, a database of a browser, or memory in tests. */
export interface CheckpointStore {
  /** The bytes written last, or undefined where there are none. */
  read(): Promise<Uint8Array | undefined>
  /** Replaces the bytes at once: a kill in the middle leaves the old ones. */
  write(bytes: Uint8Array): Promise<void>
}

/** All that a run needs to go on as if it had not stopped. Random numbers depend on position only, so none are here. */
export interface Checkpoint {
  /** Tells runs apart: settings, seed, data and starting model. */
  readonly fingerprint: string
  readonly position: TrainingPosition
  readonly history: readonly EpochRecord[]
  /** State tensors by name. */
  readonly state: ReadonlyMap<string, Tensor>
  /** The best model state so far, where validation chooses. */
  readonly best?: { readonly epoch: number; readonly state: ReadonlyMap<string, Tensor> }
}

/** How far a run is, with the sums that its epoch has gathered. */
export interface TrainingPosition {
  /** Updates so far. */
  readonly steps: number
  /** Examples of the current epoch that are done; 0 where an epoch has just been completed, validation included. */
  readonly examples: number
  /** Sum over the examples of the current epoch. */
  readonly lossSum: number
  readonly correct: number
  /** Whether the run is over. */
  readonly finished: boolean
  /** Moving average of the loss, and its first value, by which divergence is told. */
  readonly smoothedLoss: number
  readonly firstLoss: number
}

const MAGIC = [...'ESPTRAIN'].map((letter) => letter.charCodeAt(0))
const VERSION = 1
const PREFIX = 16

interface StoredTensor {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
}

interface Header {
  readonly fingerprint: string
  readonly position: TrainingPosition
  readonly history: readonly EpochRecord[]
  readonly bestEpoch?: number
  readonly state: readonly StoredTensor[]
  readonly best: readonly StoredTensor[]
}

export function writeCheckpoint({ fingerprint, position, history, state, best }: Checkpoint): Uint8Array {
  const header: Header = {
    fingerprint,
    position,
    history,
    ...(best ? { bestEpoch: best.epoch } : {}),
    state: describe(state),
    best: best ? describe(best.state) : [],
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const payload = [...state.values(), ...(best?.state.values() ?? [])].map(bytesOf)
  const total = PREFIX + text.length + payload.reduce((sum, { length }) => sum + length, 0) + 4
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(8, VERSION, true)
  view.setUint32(12, text.length, true)
  bytes.set(text, PREFIX)
  let offset = PREFIX + text.length
  for (const part of payload) {
    bytes.set(part, offset)
    offset += part.length
  }
  view.setUint32(offset, crc32(bytes.subarray(0, offset)), true)
  return bytes
}

/** @throws DataError when the bytes are no checkpoint, of another version, or damaged. */
export function readCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.length < PREFIX + 4 || MAGIC.some((code, i) => bytes[i] !== code)) throw damaged('is none')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(8, true) !== VERSION) throw damaged(`has version ${view.getUint32(8, true)}, not ${VERSION}`)
  const end = bytes.length - 4
  if (crc32(bytes.subarray(0, end)) !== view.getUint32(end, true))
    throw damaged('is damaged: its checksum does not fit')
  const length = view.getUint32(12, true)
  if (length > end - PREFIX) throw damaged('is cut short')
  const header = parseHeader(new TextDecoder().decode(bytes.subarray(PREFIX, PREFIX + length)))
  if (!header) throw damaged('has no readable header')
  let offset = PREFIX + length
  const take = (list: readonly StoredTensor[]) =>
    new Map(
      list.map(({ name, dtype, shape }): [string, Tensor] => {
        const size = (elementCount(shape) * dtypes[dtype].bits) / 8
        if (!(size >= 0) || size > end - offset) throw damaged('is cut short')
        // Copied, because a typed array must start at a multiple of its element's size; by constructor, because the
        // slice of a Buffer, which is what files are read into, shares the memory of the whole.
        const data = new Uint8Array(bytes.subarray(offset, offset + size)).buffer
        offset += size
        const array = dtypes[dtype].array as unknown as new (buffer: ArrayBuffer) => DataOf
        return [name, createTensor(dtype, shape, new array(data))]
      }),
    )
  const state = take(header.state)
  const best = take(header.best)
  const { fingerprint, position, history, bestEpoch } = header
  return {
    fingerprint,
    position,
    history,
    state,
    ...(bestEpoch === undefined ? {} : { best: { epoch: bestEpoch, state: best } }),
  }
}

function describe(tensors: ReadonlyMap<string, Tensor>): StoredTensor[] {
  return [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))
}

function damaged(what: string): DataError {
  return new DataError('checkpoint', `the checkpoint ${what}`, { hint: 'Delete it to start the training anew.' })
}

/** The checksum has vouched for the bytes, so what parses is what `writeCheckpoint` wrote. */
function parseHeader(text: string): Header | undefined {
  try {
    return JSON.parse(text) as Header
  } catch {
    return undefined
  }
}
