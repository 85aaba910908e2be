import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openData } from '../../../src/datasets/open.ts'
import { DataError, EspalierError, UsageError } from '../../../src/errors.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-npz-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** What numpy.save writes. */
function npy(type: string, shape: readonly number[], data: Uint8Array, order = 'False'): Uint8Array {
  const text = `{'descr': '${type}', 'fortran_order': ${order}, 'shape': (${shape.map((n) => `${n},`).join(' ')}), }`
  const header = `${text.padEnd(117)}\n`
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00v\x00', 'latin1'), Buffer.from(header), data])
}

const f4 = (shape: readonly number[], values: readonly number[]) =>
  npy('<f4', shape, new Uint8Array(Float32Array.from(values).buffer))
const i8 = (values: readonly number[]) =>
  npy('<i8', [values.length], new Uint8Array(BigInt64Array.from(values, BigInt).buffer))

/** What numpy.savez or numpy.savez_compressed writes, as far as we read it. */
function zip(files: Record<string, Uint8Array>, compressed = false): Uint8Array {
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, bytes] of Object.entries(files)) {
    const packed = compressed ? deflateRawSync(bytes) : Buffer.from(bytes)
    const local = Buffer.alloc(30 + name.length)
    local.writeUInt32LE(0x04034b50)
    local.writeUInt16LE(name.length, 26)
    local.write(name, 30)
    const central = Buffer.alloc(46 + name.length)
    central.writeUInt32LE(0x02014b50)
    central.writeUInt16LE(compressed ? 8 : 0, 10)
    central.writeUInt32LE(crc32(bytes), 16)
    central.writeUInt32LE(packed.length, 20)
    central.writeUInt32LE(bytes.length, 24)
    central.writeUInt16LE(name.length, 28)
    central.writeUInt32LE(offset, 42)
    central.write(name, 46)
    parts.push(local, packed)
    directory.push(central)
    offset += local.length + packed.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt16LE(directory.length, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, ...directory, end])
}

const inputs = f4(
  [3, 1, 2, 2],
  Array.from({ length: 12 }, (_, i) => i),
)
const open = async (bytes: Uint8Array, query = '') => {
  await writeFile(join(folder, 'data.npz'), bytes)
  return openData(`npz:${join(folder, 'data.npz')}${query}`)
}

describe('npz', () => {
  it.each([false, true])('reads archives, compressed: %s', async (compressed) => {
    const { test } = await open(zip({ 'x.npy': inputs, 'y.npy': i8([2, 0, 1]) }, compressed), '?scale=2&mean=1')
    expect([test.size, test.inputShape, test.classes]).toEqual([3, [1, 2, 2], 3])
    const batch = await test.batch([2, 0])
    expect([...batch.inputs.data]).toEqual([15, 17, 19, 21, -1, 1, 3, 5])
    expect([...batch.labels]).toEqual([1, 2])
  })

  it('reads a folder of arrays, named parts and named arrays', async () => {
    await writeFile(join(folder, 'images.npy'), inputs)
    await writeFile(join(folder, 'labels.npy'), i8([0, 1, 2]))
    expect((await openData(`npz:${folder}`)).test.size).toBe(3)
    const parts = {
      'x_train.npy': inputs,
      'y_train.npy': i8([0, 1, 1]),
      'x_test.npy': inputs,
      'y_test.npy': i8([1, 1, 1]),
    }
    const { train, test } = await open(zip(parts), '?validation=1/3')
    expect([train.size, test.size]).toEqual([2, 3])
    const named = await open(zip({ 'a.npy': inputs, 'b.npy': i8([0, 1, 1]) }), '?x=a&y=b&test=1/3&validation=0')
    expect([named.train.size, named.test.size]).toEqual([2, 1])
  })

  it('reads every number type, both byte orders', async () => {
    const types: Record<string, Uint8Array> = {
      '|u1': Uint8Array.of(1, 255),
      '|i1': new Uint8Array(Int8Array.of(1, -1).buffer),
      '|b1': Uint8Array.of(1, 0),
      '<u2': new Uint8Array(Uint16Array.of(1, 65535).buffer),
      '>i2': Uint8Array.of(0, 1, 255, 254),
      '<u4': new Uint8Array(Uint32Array.of(1, 7).buffer),
      '>i4': Uint8Array.of(0, 0, 0, 1, 255, 255, 255, 255),
      '<i8': new Uint8Array(BigInt64Array.of(1n, -3n).buffer),
      '<u8': new Uint8Array(BigUint64Array.of(1n, 3n).buffer),
      '<f2': Uint8Array.of(0, 0x3c, 0, 0xc0),
      '<f8': new Uint8Array(Float64Array.of(1, -0.5).buffer),
      '>f4': Uint8Array.of(0x3f, 0x80, 0, 0, 0xbf, 0, 0, 0),
    }
    const expected = [255, -1, 0, 65535, -2, 7, -1, -3, 3, -2, -0.5, -0.5]
    for (const [i, [type, bytes]] of Object.entries(types).entries()) {
      const { test } = await open(zip({ 'x.npy': npy(type, [1, 2], bytes), 'y.npy': i8([0]) }))
      expect([...(await test.batch([0])).inputs.data], type).toEqual([1, expected[i]])
    }
  })

  it('turns hwc into chw, reshapes, and takes the largest of one-hot labels', async () => {
    const y = f4([1, 4], [0, 0.1, 0.9, 0])
    const hwc = await open(zip({ 'x.npy': f4([1, 1, 2, 3], [1, 2, 3, 4, 5, 6]), 'y.npy': y }), '?layout=hwc&mean=1,2,3')
    expect(hwc.test.inputShape).toEqual([3, 1, 2])
    const batch = await hwc.test.batch([0])
    expect([...batch.inputs.data]).toEqual([0, 3, 0, 3, 0, 3])
    expect([...batch.labels, hwc.test.classes]).toEqual([2, 4])
    const flat = await open(zip({ 'x.npy': f4([1, 6], [1, 2, 3, 4, 5, 6]), 'y.npy': y }), '?shape=1,2,3')
    expect((await flat.test.batch([0])).inputs.shape).toEqual([1, 1, 2, 3])
  })

  it('names the array and the record of what is wrong', async () => {
    const y = i8([0, 1, 2])
    await expect(open(zip({}))).rejects.toThrow(/no arrays/)
    await expect(open(zip({ 'p.npy': inputs, 'q.npy': y }))).rejects.toThrow(/p, q/)
    await expect(open(zip({ 'x.npy': inputs }))).rejects.toThrow(
      /no two of its arrays have names that say inputs and labels: x/,
    )
    const near = await open(zip({ 'pixels.npy': inputs, 'y.npy': y }), '?x=pixel').catch((error: unknown) => error)
    expect(near).toBeInstanceOf(UsageError)
    expect((near as UsageError).hint).toContain('pixels')
    await expect(open(zip({ 'x.npy': inputs, 'y.npy': i8([0]) }))).rejects.toThrow(/1 labels for 3 records/)
    await expect(open(zip({ 'x.npy': inputs, 'y.npy': i8([0, -1, 0]) }))).rejects.toThrow(/record 1 has label -1/)
    await expect(open(zip({ 'x.npy': inputs, 'y.npy': f4([3], [0, 0, 0.5]) }))).rejects.toThrow(
      /record 2 has label 0.5/,
    )
    await expect(open(zip({ 'x.npy': inputs, 'y.npy': y }), '?classes=2')).rejects.toThrow(/record 2 has label 2 of 2/)
    await expect(open(zip({ 'x.npy': inputs.subarray(0, 160), 'y.npy': y }))).rejects.toThrow(/record 2 of 3/)
    await expect(open(zip({ 'x.npy': npy('|O', [1, 1], new Uint8Array(8)), 'y.npy': y }))).rejects.toThrow(/type '\|O'/)
    await expect(open(zip({ 'x.npy': npy('<f4', [1, 1], new Uint8Array(4), 'True'), 'y.npy': y }))).rejects.toThrow(
      /column/,
    )
    await expect(open(zip({ 'x.npy': inputs, 'y.npy': y }), '?shape=1,28,28')).rejects.toThrow(/do not fit shape/)
    const { test } = await open(zip({ 'x.npy': f4([3, 1], [1, 2, Number.NaN]), 'y.npy': y }))
    await expect(test.batch([0, 2])).rejects.toThrow(/record 2 has a value that is not finite/)
    await expect(openData(`npz:${folder}/none.npz`)).rejects.toThrow(UsageError)
    await expect(open(Buffer.from('not a zip'))).rejects.toThrow(DataError)
  })

  it.each([false, true])('survives cut and flipped archives, compressed: %s', async (compressed) => {
    const whole = zip({ 'x.npy': inputs, 'y.npy': i8([2, 0, 1]) }, compressed)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }), async (at, flip) => {
        const damaged = flip === 0 ? whole.subarray(0, at) : Uint8Array.from(whole)
        if (flip !== 0) damaged[at] ^= flip
        const result = await open(damaged)
          .then(({ test }) => test.batch([0]))
          .catch((error: unknown) => error)
        if (result instanceof Error) expect(result, result.stack).toBeInstanceOf(EspalierError)
      }),
      { numRuns: 200 },
    )
  })
})
