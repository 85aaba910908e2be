/** Damage to packs, for tests and the fuzz script: with the checksum as it was, or made to fit. */
import { createByteReader, createByteWriter } from '../../src/codecs/bytes.ts'
import { crc32 } from '../../src/codecs/crc32.ts'
import { decodeText } from '../../src/codecs/text.ts'
import { dictionary } from '../../src/formats/pack/dictionary.ts'
import type { Random } from '../../src/tensor/random.ts'

/** The pack with a checksum that fits what precedes it. */
export function resealed(pack: Uint8Array): Uint8Array {
  const result = pack.slice()
  const sum = crc32(result.subarray(0, result.length - 4))
  for (let i = 0; i < 4; i++) result[result.length - 4 + i] = (sum >>> (8 * i)) & 255
  return result
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

/** One to four random changes: bits flipped, bytes overwritten, removed, inserted or repeated, the end cut off. */
export function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  let result: Uint8Array = bytes.slice()
  for (let changes = 1 + random.integer(4); changes > 0; changes--) {
    const at = random.integer(result.length || 1)
    const before = result.subarray(0, at)
    const after = result.subarray(at)
    const count = 1 + random.integer(8)
    switch (random.integer(6)) {
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
