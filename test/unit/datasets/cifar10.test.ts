import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openData } from '../../../src/datasets/open.ts'
import { DataError } from '../../../src/errors.ts'
import { sharedData } from '../../support/shared-data.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-cifar-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** Records whose red, green and blue are 10, 20 and 30 times the label, plus one. */
function records(labels: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(labels.length * 3073)
  labels.forEach((label, i) => {
    bytes[i * 3073] = label
    for (let c = 0; c < 3; c++)
      bytes.fill(10 * (c + 1) * label + 1, i * 3073 + 1 + c * 1024, i * 3073 + 1 + (c + 1) * 1024)
  })
  return bytes
}

const real = sharedData('cifar10')

describe('cifar10', () => {
  it('reads any number of files, in either channel order', async () => {
    await writeFile(join(folder, 'data_batch_1.bin'), records([1, 2, 3]))
    await writeFile(join(folder, 'data_batch_2.bin'), records([4, 5]))
    await writeFile(join(folder, 'test_batch.bin'), records([6]))
    const { train, test } = await openData(`cifar10:${folder}?scale=1&validation=0&mean=1,2,3`)
    expect([train.size, test.size, train.inputShape]).toEqual([5, 1, [3, 32, 32]])
    const { inputs, labels } = await train.batch([4, 0])
    expect([...labels]).toEqual([5, 1])
    expect([0, 1024, 2048, 3072].map((at) => inputs.data[at])).toEqual([50, 99, 148, 10])
    const bgr = await openData(`cifar10:${folder}?scale=1&order=bgr&mean=1,2,3`)
    const fed = (await bgr.test.batch([0])).inputs.data
    expect([fed[0], fed[1024], fed[2048]]).toEqual([180, 119, 58])
  })

  it('does without a training part', async () => {
    await writeFile(join(folder, 'test_first1000.bin'), records([6, 7]))
    const { train, validation, test } = await openData(`cifar10:${folder}`)
    expect([train.size, validation.size, test.size]).toEqual([0, 0, 2])
    await expect(train.batch([0])).rejects.toThrow(DataError)
  })

  it('names the file and the record of what is wrong', async () => {
    await writeFile(join(folder, 'other.bin'), '')
    await expect(openData(`cifar10:${folder}`)).rejects.toThrow(/no data_batch/)
    await writeFile(join(folder, 'data_batch_1.bin'), records([1, 2]).subarray(0, 4000))
    await expect(openData(`cifar10:${folder}`)).rejects.toThrow(/within record 1/)
    await writeFile(join(folder, 'data_batch_1.bin'), '')
    await expect(openData(`cifar10:${folder}`)).rejects.toThrow(/empty/)
    await writeFile(join(folder, 'data_batch_1.bin'), records([1, 2, 77]))
    const { train } = await openData(`cifar10:${folder}`)
    const error = await train.batch([0]).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(DataError)
    expect(error).toMatchObject({ message: expect.stringContaining('record 2 has label 77') })
    expect((error as DataError).place).toContain('data_batch_1.bin')
  })

  it.skipIf(!real)('reads the real test images', async () => {
    const { train, validation, test } = await openData(`cifar10:${real}`)
    expect([train.size, validation.size, test.size]).toEqual([36_000, 4_000, 1_000])
    const { labels } = await test.batch([0, 1, 2, 3])
    expect([...labels].map((label) => test.classNames![label])).toEqual(['cat', 'ship', 'ship', 'airplane'])
  })
})
