import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gzipSync } from 'node:zlib'
import { openData } from '../../../src/datasets/open.ts'
import { DataError, UsageError } from '../../../src/errors.ts'
import { sharedData } from '../../support/shared-data.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-mnist-'))
})
afterEach(() => rm(folder, { recursive: true }))

function idx(shape: readonly number[], value: number): Uint8Array {
  const count = shape.reduce((product, size) => product * size, 1)
  const bytes = new Uint8Array(4 + 4 * shape.length + count).fill(value)
  bytes.set([0, 0, 8, shape.length])
  shape.forEach((size, axis) => new DataView(bytes.buffer).setUint32(4 + 4 * axis, size))
  return bytes
}

async function writeSet(changes: Record<string, Uint8Array> = {}): Promise<void> {
  const files: Record<string, Uint8Array> = {
    'train-images-idx3-ubyte': idx([20, 28, 28], 255),
    'train-labels-idx1-ubyte': idx([20], 3),
    't10k-images-idx3-ubyte.gz': gzipSync(idx([5, 28, 28], 51)),
    't10k-labels-idx1-ubyte.gz': gzipSync(idx([5], 4)),
    ...changes,
  }
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes)
}

const first = async (query: string) =>
  (await (await openData(`mnist:${folder}?${query}`)).test.batch([0])).inputs.data[0]

/** The first pixels of the training and of the validation examples. */
async function parts(seed: number): Promise<number[][]> {
  const { train, validation } = await openData(`mnist:${folder}?scale=1&validation=0.25`, { seed })
  return Promise.all(
    [train, validation].map(async (part) => {
      const { inputs } = await part.batch(Array.from({ length: part.size }, (_, i) => i))
      return Array.from({ length: part.size }, (_, i) => inputs.data[i * 784])
    }),
  )
}

const images = sharedData('mnist')

describe('mnist', () => {
  it('reads plain and compressed files, scaled to [0, 1]', async () => {
    await writeSet()
    const { train, validation, test } = await openData(`mnist:${folder}`)
    expect([train.size, validation.size, test.size]).toEqual([18, 2, 5])
    const { inputs, labels } = await test.batch([4, 0])
    expect(inputs.shape).toEqual([2, 1, 28, 28])
    expect(inputs.data[0]).toBeCloseTo(0.2)
    expect([...labels]).toEqual([4, 4])
  })

  it('applies scale, range, mean and std', async () => {
    await writeSet()
    expect(await first('scale=1')).toBe(51)
    expect(await first('scale=1/51')).toBe(1)
    expect(await first('mean=0.1&std=0.5')).toBeCloseTo(0.2)
    expect(await first('range=-1..1')).toBeCloseTo(-0.6)
    await expect(first('range=0..1&scale=1')).rejects.toThrow(UsageError)
    await expect(first('mean=1,2,3')).rejects.toThrow(/3 numbers for 1 channel/)
    await expect(first('std=0')).rejects.toThrow(UsageError)
  })

  it('names the file and the record of what is wrong', async () => {
    await expect(openData(`mnist:${folder}`)).rejects.toThrow(/folder is empty/)
    await expect(openData(`mnist:${folder}/nowhere`)).rejects.toThrow(/no such folder/)
    await writeSet({ 'train-labels-idx1-ubyte': idx([20], 10) })
    await expect(openData(`mnist:${folder}`)).rejects.toThrow(/record 0 has label 10/)
    await writeSet({ 't10k-images-idx3-ubyte.gz': gzipSync(idx([4, 28, 28], 1)) })
    const { test } = await openData(`mnist:${folder}`)
    await expect(test.batch([0])).rejects.toThrow(/4 images for 5 labels/)
    await writeSet({ 't10k-images-idx3-ubyte.gz': gzipSync(idx([5, 14, 14], 1)) })
    await expect((await openData(`mnist:${folder}`)).test.batch([0])).rejects.toThrow(/not \[5, 14, 14\]/)
    await writeSet({ 't10k-images-idx3-ubyte.gz': gzipSync(idx([5, 28, 28], 1)).subarray(0, 30) })
    const error = await (await openData(`mnist:${folder}`)).test.batch([0]).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(DataError)
    expect((error as DataError).place).toContain('t10k-images')
    await expect(test.batch([5])).rejects.toThrow(/no record 5 among 5/)
  })

  it('splits validation from training by seed, without overlap', async () => {
    await writeSet({ 'train-images-idx3-ubyte': numbered() })
    const [train, validation] = await parts(1)
    expect([...train, ...validation].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i))
    expect(validation).toHaveLength(5)
    expect(await parts(1)).toEqual([train, validation])
    expect((await parts(2))[1]).not.toEqual(validation)
  })

  it.skipIf(!images)('reads the real files', async () => {
    const { train, validation, test } = await openData(`mnist:${images}?validation=0`)
    expect([train.size, validation.size, test.size]).toEqual([60_000, 0, 10_000])
    expect([...(await train.batch([0, 1, 2, 3, 4])).labels]).toEqual([5, 0, 4, 1, 9])
    expect([...(await test.batch([0, 1, 2, 3, 4])).labels]).toEqual([7, 2, 1, 0, 4])
  })
})

function numbered(): Uint8Array {
  const bytes = idx([20, 28, 28], 0)
  for (let i = 0; i < 20; i++) bytes.fill(i, 16 + i * 784, 16 + (i + 1) * 784)
  return bytes
}
