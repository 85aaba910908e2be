/** Packs that arrive in chunks: one pass, tensor by tensor. */
import { createByteReader, type ByteReader } from '../../codecs/bytes.ts'
import { asBytes, type Symbols } from '../../codecs/codec.ts'
import { DataError, UsageError } from '../../errors.ts'
import { createChunkReader, unlessAborted, type ByteSource, type ChunkReader } from './chunks.ts'
import { JOINT, streamsOf, type Stream } from './content.ts'
import { decodeContent, decodeStream, symbolSource } from './decode.ts'
import { elementTypes } from './element.ts'
import {
  allStreams,
  CHECKED_STREAM,
  checkFile,
  checkFrame,
  checkStream,
  defaultLimit,
  endsEarly,
  LONGEST_HEADER,
  readHead,
  readHeader,
  SHORTEST_PACK,
  type Head,
} from './layout.ts'
import type { Blueprint } from './skeleton.ts'
import { createThreadPool, type ThreadPool } from './threads.ts'

/** Choices of the readers that do not need the whole pack at once. */
export interface ReceiveOptions {
  /** The size of the model above which a pack is refused; 256 MiB and 4,096 bytes for each byte received if absent. */
  readonly maxBytes?: number
  /** Ends the reading; what is waited for then throws the signal's reason. */
  readonly signal?: AbortSignal
  /**
   * Worker threads that decode while the calling thread reads on and puts tensors together; 0, the calling thread
   * alone, if absent. Small packs, and places where threads cannot be had, are decoded by the calling thread. The
   * result is the same; the memory is not: with threads, all that has arrived is decoded without waiting for its reader.
   */
  readonly threads?: number
}

/** A pack whose head has arrived. */
export interface Incoming {
  readonly blueprint: Blueprint
  /**
   * The content of each slot, in order, as soon as it is there. Ends only after the checksum of the whole file was
   * found right.
   */
  contents(): AsyncGenerator<Uint8Array, void, undefined>
}

/**
 * Symbols below which threads are not started. To start one takes some 80 ms of a processor, in which the slower codecs
 * decode a hundred thousand symbols: with less than this there is nothing to gain.
 */
const WORTH_THREADS = 250_000

/** The most bytes that streams may have for a model of this size: coding badly does not double anything. */
const longestBody = (modelBytes: number) => 2 * modelBytes + 2 ** 20

/** Reads up to the end of the head. @throws DataError when it is damaged or contradicts itself. */
export async function receivePack(source: ByteSource, options: ReceiveOptions): Promise<Incoming> {
  const { maxBytes, signal, threads = 0 } = options
  if (!Number.isInteger(threads) || threads < 0)
    throw new UsageError('pack-threads', `threads is ${threads}, but it must be a whole number, 0 or more`)
  signal?.throwIfAborted()
  // What is all there is checked before anything else.
  if (source instanceof Uint8Array) checkFrame(source)
  const input = createChunkReader(source, signal)
  try {
    const start = await input.peek(Math.max(LONGEST_HEADER, SHORTEST_PACK))
    const header = readHeader(createByteReader(start, 'pack'), maxBytes ?? defaultLimit(0))
    if (start.length < SHORTEST_PACK) throw endsEarly()
    await input.take(header.bytes)
    const head = readHead(header, await input.take(header.stored), maxBytes ?? Number.MAX_SAFE_INTEGER)
    const streams = allStreams(head)
    if (sum(streams, 'length') > longestBody(head.blueprint.length))
      throw new DataError('pack-size', 'the streams of the pack are longer than their model would need', {
        hint: 'Fetch the file again.',
      })
    const useThreads = threads > 0 && sum(streams, 'count') >= WORTH_THREADS
    return {
      blueprint: head.blueprint,
      contents: () => receiveContents(input, head, options, useThreads ? createThreadPool(threads) : undefined),
    }
  } catch (error) {
    input.close()
    throw error
  }
}

function sum(streams: readonly Stream[], what: 'length' | 'count'): number {
  return streams.reduce((total, stream) => total + stream[what], 0)
}

/** Streams that are decoded together: those of a tensor, or one that tensors share. */
interface Unit {
  readonly place: string
  readonly streams: readonly Stream[]
  /** Bytes of the model that they stand for. */
  readonly bytes: number
}

type Decoded = ReadonlyMap<Stream, Symbols>

async function* receiveContents(
  input: ChunkReader,
  { blueprint, contents, sharedStreams, joint }: Head,
  { maxBytes, signal }: ReceiveOptions,
  pool: ThreadPool | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const units: Unit[] = [
    ...[...sharedStreams.map(({ stream }) => stream), ...(joint ? [joint] : [])].map((stream) => ({
      place: stream.part,
      streams: [stream],
      bytes: stream.count,
    })),
    ...blueprint.slots.map(({ place, length }, i) => ({
      place,
      streams: streamsOf(contents[i]).filter(({ codec }) => codec !== JOINT),
      bytes: length,
    })),
  ]
  let allowed = 0
  /** Waits for the bytes of the next unit: before they are there, nothing of its size is allocated. */
  const arrive = async ({ place, streams, bytes }: Unit): Promise<void> => {
    for (const stream of streams) {
      stream.bytes = await input.take(stream.length)
      if (stream.length >= CHECKED_STREAM) checkStream(stream, createByteReader(await input.take(4)).uint32())
    }
    allowed += bytes
    // Where the caller has set a limit, the head was compared with it.
    if (maxBytes === undefined && allowed > defaultLimit(input.received))
      throw new DataError('pack-size', `${input.received} bytes of a pack stand for more than ${allowed} bytes`, {
        place,
        hint: 'If the pack can be trusted, set maxBytes.',
      })
  }
  try {
    const decoded = pool ? decodeAhead(units, arrive, pool, signal) : decodeInTurn(units, arrive)
    const shared = new Map<number, ByteReader>()
    for (const { type, stream } of sharedStreams) {
      const symbols = (await decoded()).get(stream)!
      shared.set(type, createByteReader(asBytes(symbols), stream.part))
    }
    const together = joint && (await decoded()).get(joint)
    let own: Decoded
    const symbols = symbolSource(together, (stream) => own.get(stream)!)
    for (const [i, { type, place, length }] of blueprint.slots.entries()) {
      own = await decoded()
      const target = new Uint8Array(length)
      const parts = {
        symbols,
        shared: (count: number) => shared.get(type)!.bytes(count),
      }
      decodeContent(contents[i], elementTypes.get(type)!, target, parts, place)
      yield target
    }
    const { sum: found } = input
    checkFile(found, createByteReader(await input.take(4)).uint32())
    if ((await input.peek(1)).length > 0)
      throw new DataError('bytes-left', 'bytes are left over after the pack', { hint: 'Fetch the file again.' })
  } finally {
    pool?.close()
    input.close()
  }
}

/** Decodes a unit when it is asked for, in this thread. */
function decodeInTurn(units: readonly Unit[], arrive: (unit: Unit) => Promise<void>): () => Promise<Decoded> {
  let next = 0
  return async () => {
    const unit = units[next++]
    await arrive(unit)
    return new Map(unit.streams.map((stream) => [stream, decodeStream(takeBytes(stream), unit.place)]))
  }
}

/** Decodes all units as they arrive, on the threads of the pool. */
function decodeAhead(
  units: readonly Unit[],
  arrive: (unit: Unit) => Promise<void>,
  pool: ThreadPool,
  signal: AbortSignal | undefined,
): () => Promise<Decoded> {
  let arrived = Promise.resolve()
  const inOrder = units.map((unit) => {
    arrived = arrived.then(() => arrive(unit))
    const symbols = arrived.then(() =>
      Promise.all(
        unit.streams.map(async (stream) => [stream, await pool.decode(takeBytes(stream), unit.place)] as const),
      ),
    )
    // Failures are met where the unit is asked for.
    symbols.catch(() => undefined)
    return symbols
  })
  const left = inOrder.toReversed()
  return async () => new Map(await unlessAborted(left.pop()!, signal))
}

/** The stream with its bytes, which the head lets go. */
function takeBytes(stream: Stream): Stream {
  const taken = { ...stream }
  stream.bytes = undefined
  return taken
}
