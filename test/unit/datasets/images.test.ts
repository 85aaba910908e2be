import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openData } from '../../../src/datasets/open.ts'
import { DataError, UsageError } from '../../../src/errors.ts'
import { sharedData } from '../../support/shared-data.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'espalier-images-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** A picture of which the left half has one colour and the right half another. */
async function picture(path: string, width: number, height: number, left: number[], right = left): Promise<void> {
  const data = Buffer.alloc(width * height * 3)
  for (let i = 0; i < width * height; i++) data.set(i % width < width / 2 ? left : right, i * 3)
  await mkdir(join(folder, path, '..'), { recursive: true })
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(join(folder, path))
}

const first = async (query: string) => {
  const { test } = await openData(`images:${folder}?${query}`)
  return (await test.batch([0])).inputs
}

const sample = sharedData('imagenet-sample')

describe('images', () => {
  it('takes labels from a table', async () => {
    await picture('a.png', 20, 10, [10, 20, 30])
    await picture('sub/b, c.png', 10, 20, [40, 50, 60])
    await writeFile(
      join(folder, 'labels.csv'),
      'file,label,name\r\na.png,3,three\r\n"sub/b, c.png",0,"the ""zero"""\r\n',
    )
    const { train, validation, test } = await openData(`images:${folder}?crop=8&resize=8`)
    expect([train.size, validation.size, test.size, test.classes]).toEqual([0, 0, 2, 4])
    expect(test.classNames).toEqual(['the "zero"', '', '', 'three'])
    const { inputs, labels } = await test.batch([1, 0])
    expect([...labels]).toEqual([0, 3])
    expect(inputs.shape).toEqual([2, 3, 8, 8])
    expect([0, 64, 128, 192].map((at) => inputs.data[at])).toEqual([40, 50, 60, 10])
  })

  it('takes labels from folders, and parts from train and test', async () => {
    for (const part of ['train', 'test'])
      for (const kind of ['cat', 'dog']) await picture(`${part}/${kind}/1.png`, 8, 8, [1, 2, 3])
    const { train, test } = await openData(`images:${folder}?crop=8&validation=0`)
    expect([train.size, test.size, test.classNames]).toEqual([2, 2, ['cat', 'dog']])
    expect([...(await test.batch([0, 1])).labels]).toEqual([0, 1])
    await picture('test/bird/1.png', 8, 8, [1, 2, 3])
    await expect(openData(`images:${folder}`)).rejects.toThrow(/class bird/)
  })

  it('cuts, squashes, orders and scales', async () => {
    await picture('x/wide.png', 40, 10, [200, 100, 50], [0, 100, 250])
    const cut = await first('crop=10&resize=10')
    expect(cut.shape).toEqual([1, 3, 10, 10])
    expect([cut.data[0], cut.data[9]]).toEqual([200, 0])
    const bgr = await first('crop=10&resize=10&order=bgr&mean=104,117,123')
    expect([bgr.data[0], bgr.data[100], bgr.data[200]]).toEqual([50 - 104, 100 - 117, 200 - 123])
    const squashed = await first('crop=10x40&squash')
    expect(squashed.shape).toEqual([1, 3, 10, 40])
    expect([squashed.data[0], squashed.data[39]]).toEqual([200, 0])
    const grey = await first('crop=4&resize=4&order=grey&scale=1/255')
    expect(grey.shape).toEqual([1, 1, 4, 4])
    expect(Math.max(...grey.data)).toBeLessThanOrEqual(1)
    const enlarged = await first('crop=64&resize=8')
    expect(enlarged.shape).toEqual([1, 3, 64, 64])
    await expect(first('squash&resize=8')).rejects.toThrow(UsageError)
  })

  it('splits a folder without parts where it is asked to', async () => {
    for (let i = 0; i < 10; i++) await picture(`x/${i}.png`, 8, 8, [i, i, i])
    const { train, validation, test } = await openData(`images:${folder}?crop=8&test=0.3&validation=2`)
    expect([train.size, validation.size, test.size]).toEqual([5, 2, 3])
  })

  it('reads again what its cache had to drop', async () => {
    for (let i = 0; i < 4; i++) await picture(`x/${i}.png`, 300, 300, [i, 0, 0])
    const { test } = await openData(`images:${folder}?crop=300&cache=1`)
    for (const order of [
      [0, 1, 2, 3],
      [3, 2, 1, 0],
    ]) {
      const { inputs } = await test.batch(order)
      expect(order.map((_, n) => inputs.data[n * 270_000])).toEqual(order)
    }
  })

  it('names what is wrong', async () => {
    await expect(openData(`images:${folder}`)).rejects.toThrow(/folder is empty/)
    await writeFile(join(folder, 'notes.txt'), 'x')
    await expect(openData(`images:${folder}`)).rejects.toThrow(/no images/)
    const table = async (text: string) => {
      await writeFile(join(folder, 'labels.csv'), text)
      return openData(`images:${folder}`)
    }
    await expect(table('file,label\n')).rejects.toThrow(/no images/)
    await expect(table('name,label\na.png,1\n')).rejects.toThrow(/no column file/)
    await expect(table('file,label\na.png,1\n')).rejects.toThrow(/not there.*a\.png/)
    await expect(table('file,label\nnotes.txt,-1\n')).rejects.toThrow(/line 2: label '-1'/)
    await expect(table('file,label\n../secret.png,1\n')).rejects.toThrow(/does not lie in the folder/)
    await expect(table('file,label\nnotes.txt\n')).rejects.toThrow(/line 2 has 1 fields/)
    await expect(table('file,label\n"notes.txt,1\n')).rejects.toThrow(/quote/)
    await expect((await table('file,label\nnotes.txt,1\n')).test.batch([0])).rejects.toThrow(/cannot be decoded/)
  })

  it('refuses cut, empty and oversized images, by name', async () => {
    await picture('x/a.png', 64, 64, [1, 2, 3], [9, 8, 7])
    const whole = await readFile(join(folder, 'x/a.png'))
    for (const bytes of [whole.subarray(0, 60), whole.subarray(0, 100), new Uint8Array(0)]) {
      await writeFile(join(folder, 'x/a.png'), bytes)
      const error = await first('crop=8').catch((error: unknown) => error)
      expect(error).toBeInstanceOf(DataError)
      expect((error as DataError).place).toContain('a.png')
    }
    const giant = Buffer.from(whole)
    giant.writeUInt32BE(2_000_000_000, 16)
    giant.writeUInt32BE(2_000_000_000, 20)
    await writeFile(join(folder, 'x/a.png'), giant)
    await expect(first('crop=8')).rejects.toThrow(DataError)
  })

  it.skipIf(!sample)('reads the sample of ImageNet', async () => {
    const { test } = await openData(`images:${sample}?crop=227&order=bgr&mean=104,117,123&classes=1000`)
    expect([test.size, test.classes]).toEqual([500, 1000])
    const { inputs, labels } = await test.batch([0, 499])
    expect(inputs.shape).toEqual([2, 3, 227, 227])
    expect([...labels].map((label) => test.classNames![label])).toEqual(['tench', 'ear'])
  })
})
