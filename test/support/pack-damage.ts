/** Damage to packs, for tests and the fuzz script: with the checksum as it was, or made to fit. */
import { createByteReader, createByteWriter } from '../../src/codecs/bytes.ts'
import { crc32 } from '../../src/codecs/crc32.ts'
import { decodeText } from '../../src/codecs/text.ts'
import { DataError } from '../../src/errors.ts'
import { dictionary } from '../../src/formats/pack/dictionary.ts'
import { allStreams, CHECKED_STREAM, readHead, readHeader } from '../../src/formats/pack/layout.ts'
import type { Random } from '../../src/tensor/random.ts'

/** The pack with a checksum of the file that fits what precedes it. */
export function resealed(pack: Uint8Array): Uint8Array {
  const result = pack.slice()
  putSum(result, result.length - 4, crc32(result.subarray(0, result.length - 4)))
  return result
}

/** The same, with the streams' own checksums too, as far as the head can be read and says where they are. */
export function resealedThroughout(pack: Uint8Array): Uint8Array {
  const result = pack.slice()
  try {
    const reader = createByteReader(result)
    const header = readHeader(reader, result.length)
    for (const { length } of allStreams(readHead(header, reader.bytes(header.stored), Number.MAX_SAFE_INTEGER))) {
      const bytes = reader.bytes(length)
      if (length < CHECKED_STREAM) continue
      putSum(result, reader.position, crc32(bytes))
      reader.uint32()
    }
  } catch (error) {
    if (!(error instanceof DataError)) throw error
  }
  return resealed(result)
}

function putSum(bytes: Uint8Array, at: number, sum: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = (sum >>> (8 * i)) & 255
}

/** The same pack with its head not coded, so that damage can reach every field of it. */
export function withPlainHead(pack: Uint8Array): Uint8Array {
  const reader = createByteReader(pack)
  const start = reader.bytes(5)
  const isText = reader.byte() === 1
  const length = reader.varint()
  const stored = isText ? reader.varint() : length
  const head = isText ? decodeText(reader.bytes(stored), length, dictionary) : reader.bytes(stored)
  const writer = createByteWriter()
  writer.bytes(start)
  writer.byte(0)
  writer.varint(length)
  writer.bytes(head)
  writer.bytes(reader.bytes(reader.remaining))
  return resealed(writer.finish())
}

/** A number of any size up to 2^53, as a varint: what a lying count or length would be. */
function anyVarint(random: Random): Uint8Array {
  const writer = createByteWriter()
  writer.varint(Math.floor(random.uniform() * 2 ** random.integer(54)))
  return writer.finish()
}

/**
 * One to four random changes: bits flipped, bytes overwritten, removed, inserted or repeated, numbers of any size put in
 * the place of a byte, the end cut off.
 */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  let result: Uint8Array = bytes.slice()
  for (let changes = 1 + random.integer(4); changes > 0; changes--) {
    const at = random.integer(result.length || 1)
    const before = result.subarray(0, at)
    const after = result.subarray(at)
    const count = 1 + random.integer(8)
    switch (random.integer(7)) {
      case 0:
        if (result.length > 0) result[at] ^= 1 << random.integer(8)
        break
      case 1:
        if (result.length > 0) result[at] = [0, 1, 127, 128, 255, random.integer(256)][random.integer(6)]
        break
      case 2:
        result = join(before, after.subarray(count))
        break
      case 3:
        result = join(
          before,
          Uint8Array.from({ length: count }, () => random.integer(256)),
          after,
        )
        break
      case 4:
        result = join(before, after.subarray(0, count), after)
        break
      case 5:
        result = join(before, anyVarint(random), after.subarray(1))
        break
      default:
        result = result.slice(0, at)
    }
  }
  return result
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const writer = createByteWriter()
  for (const part of parts) writer.bytes(part)
  return writer.finish()
}
