import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DataError, UsageError } from '../../../../src/errors.ts'
import { writeFileAtomic } from '../../../../src/formats/files.ts'
import { externalDataIn, readModelFile, writeModelFile } from '../../../../src/formats/onnx/file.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { identical } from '../../../../src/tensor/tensor.ts'
import { noise, smallCnn } from '../../../support/onnx-models.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'espalier-file-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function wideModel(): Model {
  const model = smallCnn()
  const initializers = new Map(model.graph.initializers).set('fc.weight', noise(9, [3, 64]))
  return { ...model, graph: { ...model.graph, initializers: initializers.set('wide', noise(3, [600])) } }
}

describe('model files', () => {
  test('are written whole and read back, also misaligned weights', async () => {
    const path = join(folder, 'model.onnx')
    const bytes = await writeModelFile(path, wideModel())
    expect(readFileSync(path).length).toBe(bytes)
    const read = await readModelFile(path)
    for (const [name, tensor] of wideModel().graph.initializers)
      expect(identical(read.graph.initializers.get(name)!, tensor)).toBe(true)
    expect(writeModel(read)).toEqual(writeModel(wideModel()))
  })

  test('put large tensors beside the model when asked, at page boundaries', async () => {
    const path = join(folder, 'external.onnx')
    const bytes = await writeModelFile(path, wideModel(), { externalData: true })
    const data = readFileSync(`${path}.data`)
    expect(bytes).toBe(readFileSync(path).length + data.length)
    expect(data.length).toBe(2400)
    expect(readFileSync(path).length).toBeLessThan(writeModel(wideModel()).length - 2000)
    expect(writeModel(await readModelFile(path))).toEqual(writeModel(wideModel()))
    expect(() => readModel(readFileSync(path))).toThrow(DataError)
    truncateSync(`${path}.data`, 1000)
    await expect(readModelFile(path)).rejects.toThrow(/file of 1000 bytes/)
    rmSync(`${path}.data`)
    await expect(readModelFile(path)).rejects.toThrow(DataError)
  })

  test('that are missing are a UsageError', async () => {
    await expect(readModelFile(join(folder, 'nowhere.onnx'))).rejects.toThrow(UsageError)
    await expect(readModelFile(folder)).rejects.toThrow(UsageError)
  })
})

describe('external data', () => {
  test('stays inside the folder', () => {
    const inside = join(folder, 'inside')
    mkdirSync(inside)
    writeFileSync(join(folder, 'secret'), 'secret')
    writeFileSync(join(inside, 'data'), 'abcdef')
    symlinkSync(join(folder, 'secret'), join(inside, 'link'))
    symlinkSync(folder, join(inside, 'up'))
    const read = externalDataIn(inside)
    const all = { offset: 0, length: undefined }
    expect(new TextDecoder().decode(read('data', { offset: 1, length: 3 }))).toBe('bcd')
    expect(new TextDecoder().decode(read('./data', all))).toBe('abcdef')
    for (const location of [
      '../secret',
      'link',
      'up/secret',
      join(folder, 'secret'),
      'a/../../secret',
      '',
      '.',
      'C:\\x',
    ])
      expect(() => read(location, all), location).toThrow(DataError)
    for (const [offset, length] of [
      [7, 0],
      [0, 7],
      [2 ** 40, 1],
      [0, 2 ** 50],
    ])
      expect(() => read('data', { offset, length })).toThrow(DataError)
  })
})

describe('atomic writes', () => {
  test('leave the old file and no other when they fail', async () => {
    const place = join(folder, 'atomic')
    mkdirSync(join(place, 'taken'), { recursive: true })
    writeFileSync(join(place, 'taken', 'x'), 'x')
    await expect(writeFileAtomic(join(place, 'taken'), 'text')).rejects.toThrow(UsageError)
    await expect(writeFileAtomic(join(place, 'no', 'folder'), 'text')).rejects.toThrow(UsageError)
    expect(readdirSync(place)).toEqual(['taken'])
  })

  test('join chunks of all sizes in order', async () => {
    const path = join(folder, 'chunks')
    const chunks = [3, 2 ** 20, 1, 0, 2 ** 20 + 5, 70_000, 9].map((size, i) => new Uint8Array(size).fill(i))
    expect(await writeFileAtomic(path, chunks)).toBe(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
    expect(Buffer.compare(readFileSync(path), Buffer.concat(chunks))).toBe(0)
  })
})
