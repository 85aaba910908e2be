import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readModelFile } from '../../../src/formats/onnx/file.ts'
import { layers } from '../../../src/ir/rewrite.ts'
import { smallFile, smallLayers, smallPrototxt, smallWeights } from '../../support/deep-compression.ts'
import { cli, cliJson, temporaryFolder } from './session.ts'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let net = ''
let from: readonly string[] = []
const bytes = smallFile(smallWeights(1))

beforeAll(async () => {
  folder = await temporaryFolder()
  net = folder.path('small.net')
  const prototxt = folder.path('small.prototxt')
  await writeFile(net, bytes)
  await writeFile(prototxt, smallPrototxt)
  from = ['--from', 'deep-compression', '--prototxt', prototxt, net]
})
afterAll(() => folder.remove())

describe('a file of another format', () => {
  it('is packed with exactly its weights and exported again byte for byte', async () => {
    const argv = ['compress', ...from, '--no-latency', '--no-report']
    const packed = await cliJson<{ output: string; source: { bytes: number; format: string } }>(argv)
    expect([packed.code, packed.data.output]).toEqual([0, folder.path('small.espalier')])
    expect(packed.data.source).toMatchObject({ format: 'deep-compression', bytes: bytes.length })
    const again = folder.path('again.net')
    const { code, out } = await cli(['export', 'deep-compression', packed.data.output, '-o', again])
    expect([code, out]).toEqual([0, expect.stringContaining('again.net')])
    expect(new Uint8Array(await readFile(again))).toEqual(bytes)
  })

  it('is restored to ONNX', async () => {
    const { code, data } = await cliJson<{ onnx: string; packBytes: number }>(['restore', ...from])
    expect([code, data]).toEqual([
      0,
      expect.objectContaining({ onnx: folder.path('small.onnx'), packBytes: bytes.length }),
    ])
    expect(layers(await readModelFile(data.onnx)).map(({ name }) => name)).toEqual(smallLayers.map(({ name }) => name))
  })

  it('is inspected', async () => {
    const { code, data } = await cliJson<{ form: string; layers: { name: string }[] }>(['inspect', ...from])
    expect([code, data.form, data.layers.length]).toEqual([0, 'deep-compression', 4])
  })

  it('is in the catalogue', async () => {
    expect((await cli(['catalog', 'formats'])).out).toContain('deep-compression')
  })

  it.each<[string, readonly string[], number, RegExp]>([
    ['a format that nobody knows', ['restore', '--from', 'caffe', 'NET'], 2, /deep-compression/],
    [
      'no prototxt',
      ['compress', '--from', 'deep-compression', 'NET'],
      2,
      /also needs the deploy\.prototxt[\s\S]*--prototxt/,
    ],
    ['a prototxt for nothing', ['restore', '--prototxt', 'NET', 'NET'], 2, /--prototxt is of no use/],
    ['a prototxt that is none', ['inspect', '--from', 'deep-compression', '--prototxt', 'NET', 'NET'], 5, /small\.net/],
    ['an output over an input', ['restore', 'FROM', '-o', 'NET'], 2, /also read/],
    ['what is no model', ['export', 'deep-compression', 'NET', '-o', 'OTHER'], 5, /small\.net/],
  ])('of %s is refused', async (_, argv, expected, message) => {
    const words = argv.flatMap((word) => (word === 'FROM' ? from : [{ NET: net, OTHER: `${net}.other` }[word] ?? word]))
    const { code, out, err } = await cli(words)
    expect(err).toMatch(message)
    expect([code, out]).toEqual([expected, ''])
  })
})
