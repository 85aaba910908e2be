import { describe, expect, it } from 'vitest'
import { createByteReader, createByteWriter } from '../../../../src/codecs/bytes.ts'
import { codecs } from '../../../../src/codecs/index.ts'
import { DataError, EspalierError } from '../../../../src/errors.ts'
import { MAGIC, VERSION } from '../../../../src/formats/pack/layout.ts'
import { describePack } from '../../../../src/formats/pack/describe.ts'
import { readPack } from '../../../../src/formats/pack/read.ts'
import { unpack, unpackFrom } from '../../../../src/formats/pack/unpack.ts'
import { packOnnx, writePack } from '../../../../src/formats/pack/write.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { inChunks } from '../../../support/pack-chunks.ts'
import { mutated, resealed, resealedThroughout, withPlainHead } from '../../../support/pack-damage.ts'
import { packModels } from '../../../support/pack-models.ts'
import { packVectors } from '../../../support/pack-vectors.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

/** `scripts/fuzz.mjs` sets more. */
const LONG = process.env.FUZZ_RUNS !== undefined
const RUNS = Number(process.env.FUZZ_RUNS ?? 300)
/** Above the models that are packed here, and little enough to decode in a second. */
const MAX_BYTES = 1 << 20

const small = writePack(tinyModels()[0].model)
/** Small packs of every kind and codec. */
const vectors = packVectors().map(({ pack }) => pack)

const onlyDataError = (error: unknown): undefined => {
  if (!(error instanceof DataError)) throw error
}
/** What it gives, or undefined where it throws a DataError. */
const orDataError = <T>(run: () => T): T | undefined => {
  try {
    return run()
  } catch (error) {
    return onlyDataError(error)
  }
}
const codeOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(EspalierError)
    return error instanceof EspalierError ? error.code : ''
  }
  return 'none'
}

describe('a damaged pack', () => {
  it('is found out by every single-bit flip and by every truncation, whatever its kinds and codecs', () => {
    for (const pack of [small, ...vectors]) {
      for (let i = 0; i < pack.length * 8; i++) {
        const flipped = pack.slice()
        flipped[i >> 3] ^= 1 << (i & 7)
        expect(() => unpack(flipped)).toThrow(DataError)
      }
      for (let length = 0; length < pack.length; length++)
        expect(() => unpack(pack.subarray(0, length))).toThrow(DataError)
    }
  })

  it('is found out while it arrives, after the decoders have met the damage', async () => {
    // Every bit in the long run; a decode takes milliseconds.
    const step = LONG ? 1 : 41
    for (const pack of vectors.map(withPlainHead))
      for (let i = 0; i < pack.length * 8; i += step) {
        const flipped = pack.slice()
        flipped[i >> 3] ^= 1 << (i & 7)
        await expect(unpackFrom([flipped])).rejects.toThrow(DataError)
      }
  })

  it('says what is wrong', () => {
    expect(codeOf(() => readPack(new TextEncoder().encode('<html>not a pack</html>')))).toBe('pack-magic')
    expect(codeOf(() => readPack(small.subarray(0, 8)))).toBe('pack-end')
    expect(codeOf(() => readPack(resealed(small.slice().fill(9, 4, 5))))).toBe('pack-version')
    expect(codeOf(() => readPack(small.slice().fill(0, 30, 31)))).toBe('pack-checksum')
    expect(codeOf(() => readPack(resealed(small.slice().fill(7, 5, 6))))).toBe('pack-head')
  })

  it('names the damaged stream where the streams are large', () => {
    const pack = writePack(packModels.get('floats')!, { coding: 'bits' })
    const large = writePack(packModels.get('places')!, { coding: 'bits' })
    for (const damaged of [pack, large]) {
      const target = describePack(damaged).streams.findIndex(({ bytes, tensor }) => tensor && bytes >= 4100)
      if (target < 0) continue
      const before = describePack(damaged)
        .streams.slice(0, target)
        .reduce((sum, { bytes }) => sum + bytes, 0)
      const copy = damaged.slice()
      copy[before + 5] ^= 1
      expect(() => unpack(resealed(copy))).toThrow('its checksum does not fit')
    }
  })

  it('decodes to an error or to a model when the checksums are made to fit, soon and in little memory', async () => {
    const random = createRandom(Number(process.env.FUZZ_SEED ?? 21))
    const packs = [...[...packModels.values()].map((model) => writePack(model)), ...vectors]
    const plain = packs.map(withPlainHead)
    const outcomes = { errors: 0, models: 0 }
    let slowestMicros = 0
    let largestBytes = 0
    for (let run = 0; run < RUNS; run++) {
      // In a coded head nearly all damage ends in the same error; an eighth of the runs is enough for it.
      const pack = (run % 8 === 0 ? packs : plain)[run % packs.length]
      const damaged = resealedThroughout(mutated(pack, random))
      const held = process.memoryUsage().arrayBuffers
      // Of the processor, not of the clock: others may compute.
      const start = process.cpuUsage()
      const model = orDataError(() => unpack(damaged, { maxBytes: MAX_BYTES }))
      slowestMicros = Math.max(slowestMicros, process.cpuUsage(start).user)
      largestBytes = Math.max(largestBytes, process.memoryUsage().arrayBuffers - held)
      const received = await unpackFrom(inChunks(damaged, random, 2000), { maxBytes: MAX_BYTES }).catch(onlyDataError)
      if (model) {
        // What is not an error is a whole model: its messages end where they say, and it can be packed and unpacked.
        expect(model.length).toBeLessThanOrEqual(MAX_BYTES)
        expect(Buffer.compare(received!, model)).toBe(0)
        expect(Buffer.compare(unpack(packOnnx(model, { coding: 'bits' })), model)).toBe(0)
        outcomes.models++
      } else {
        expect(received).toBeUndefined()
        outcomes.errors++
      }
    }
    if (LONG) console.log(`${JSON.stringify(outcomes)}; at most ${slowestMicros / 1000} ms, ${largestBytes} bytes`)
    expect(outcomes.errors).toBeGreaterThan(RUNS / 2)
    expect(outcomes.models).toBeGreaterThan(RUNS / 100)
    // Bounds that say no more than that nothing hangs or grows with what a pack claims.
    expect(slowestMicros).toBeLessThan(20e6)
    expect(largestBytes).toBeLessThan(MAX_BYTES + 64e6)
  })

  it('ends in a typed error of the model reader where the graph is no graph', () => {
    const random = createRandom(22)
    const plain = withPlainHead(small)
    for (let run = 0; run < 100; run++) {
      const damaged = resealed(mutated(plain, random))
      expect(codeOf(() => readPack(damaged, { maxBytes: 1 << 24 }))).toBeTypeOf('string')
    }
  })
})

/** A pack whose only tensor claims these dims, with what follows in the head. */
const claiming = (dims: readonly number[], record: readonly number[], type = 1): Uint8Array => {
  const tensor = createByteWriter()
  for (const size of dims) {
    tensor.byte(0x08)
    tensor.varint(size)
  }
  tensor.bytes(Uint8Array.of(0x10, type, 0x4a, 0))
  const body = tensor.finish()
  const skeleton = Uint8Array.from([0x3a, body.length + 2, 0x2a, body.length, ...body])
  const head = Uint8Array.from([skeleton.length, ...skeleton, ...record])
  return resealed(Uint8Array.from([...MAGIC, VERSION, 0, head.length, ...head, 0, 0, 0, 0]))
}

describe('a pack that lies', () => {
  it('about its size is refused before memory is asked for, whole or while it arrives', async () => {
    const lies = [
      ['pack-size', claiming([2 ** 40], [1, 1, 0, 1, 0, 1, 0, 1, 0])],
      ['pack-size', claiming([2 ** 30, 2 ** 30, 2 ** 30], [0])],
      // Within the limit, but the streams are far too short: 2^26 symbols from no byte.
      ...[...codecs.values()].map(({ id }) => [/^(codec|bytes)-/, claiming([2 ** 26], [2, 9, id, 0], 2)] as const),
    ] as const
    // Each refusal for itself: when the garbage of those before is collected is not the decoder's to say.
    let largestBytes = 0
    const measured = async (refusal: () => unknown) => {
      const held = process.memoryUsage().arrayBuffers
      await refusal()
      largestBytes = Math.max(largestBytes, process.memoryUsage().arrayBuffers - held)
    }
    for (const [code, pack] of lies) {
      await measured(() => expect(codeOf(() => unpack(pack))).toMatch(code))
      await measured(() =>
        expect(unpackFrom([pack])).rejects.toMatchObject({ code: expect.stringMatching(code) as string }),
      )
    }
    // One tensor of 2^26 symbols, the most that is within the limit, and nothing beside it.
    expect(largestBytes).toBeLessThan(2 ** 26 + 16e6)
  })

  it('about kinds, codecs, counts and lengths is refused', () => {
    expect(codeOf(() => unpack(claiming([100], [99])))).toBe('pack-record')
    expect(codeOf(() => unpack(claiming([100], [2, 9, 77, 0])))).toBe('pack-codec')
    expect(codeOf(() => unpack(claiming([100], [3, 127, 0, 1, 0])))).toBe('pack-record')
    expect(codeOf(() => unpack(claiming([100], [4, 0, 1, 0, 0])))).toBe('pack-record')
    expect(codeOf(() => unpack(claiming([100], [2, 9, 1, 50])))).toBe('bytes-end')
    expect(codeOf(() => unpack(claiming([100], [0])))).toBe('bytes-end')
    expect(codeOf(() => unpack(claiming([100], [3, 50, 3, 40, 3, 30, 3, 20])))).toBe('pack-record')
  })

  it('may be trusted with a higher limit', () => {
    const zeros = claiming([2 ** 10], [2, 0, 1, 0], 2)
    expect(codeOf(() => unpack(zeros, { maxBytes: 1000 }))).toBe('pack-size')
    expect(unpack(zeros, { maxBytes: 1100 }).length).toBe(1038)
    expect(createByteReader(packOnnx(unpack(zeros))).remaining).toBeLessThan(60)
  })
})
