import { describe, expect, it } from 'vitest'
import { DataError, UsageError } from '../../../../src/errors.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { unpack, unpackFrom, unpackTensors, type UnpackedTensor } from '../../../../src/formats/pack/unpack.ts'
import { writePack } from '../../../../src/formats/pack/write.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { inChunks } from '../../../support/pack-chunks.ts'
import { packModels } from '../../../support/pack-models.ts'

const tensorsOf = async (tensors: AsyncIterable<UnpackedTensor>): Promise<UnpackedTensor[]> => {
  const all: UnpackedTensor[] = []
  for await (const tensor of tensors) all.push(tensor)
  return all
}

const floats = writePack(packModels.get('floats')!)
const random = createRandom(5)

describe('a pack that arrives in chunks', () => {
  for (const [name, model] of packModels)
    it(`restores ${name} bit for bit, however it is cut`, async () => {
      const onnx = writeModel(model)
      const pack = writePack(model)
      for (const largest of [3, 64, pack.length])
        expect(Buffer.compare(await unpackFrom(inChunks(pack, random, largest)), onnx)).toBe(0)
    })

  it('may be bytes, an iterable, an async iterable or a ReadableStream', async () => {
    const onnx = unpack(floats)
    const halves = [floats.subarray(0, 1000), floats.subarray(1000)]
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const half of halves) controller.enqueue(half)
        controller.close()
      },
    })
    for (const source of [floats, halves, inChunks(floats, random), stream])
      expect(Buffer.compare(await unpackFrom(source), onnx)).toBe(0)
    await expect(unpackFrom(['text'] as unknown as Uint8Array[])).rejects.toThrow(UsageError)
  })

  it('gives the tensors that the model holds, in order', async () => {
    const received = await tensorsOf(unpackTensors(inChunks(floats, random)))
    const direct: UnpackedTensor[] = []
    unpack(floats, { onTensor: (tensor) => direct.push({ ...tensor, bytes: tensor.bytes.slice() }) })
    expect(received).toEqual(direct)
    const { initializers } = readModel(unpack(floats)).graph
    expect(received.map(({ name }) => name)).toEqual([...initializers.keys()])
    for (const { name, dtype, shape, bytes } of received) {
      const tensor = initializers.get(name)!
      expect([dtype, [...shape]]).toEqual([tensor.dtype, [...tensor.shape]])
      const { buffer, byteOffset, byteLength } = tensor.data as Uint8Array
      expect(Buffer.compare(bytes, new Uint8Array(buffer, byteOffset, byteLength))).toBe(0)
    }
  })

  it('is read no further than the tensor that is asked for', async () => {
    let given = 0
    async function* counted() {
      for (let i = 0; i < floats.length; i += 16) {
        given += 16
        yield await Promise.resolve(floats.subarray(i, i + 16))
      }
    }
    const tensors = unpackTensors(counted())
    const first = await tensors.next()
    expect(first.done).toBe(false)
    expect(given).toBeLessThan(floats.length)
    const before = given
    await tensors.return()
    expect(given).toBe(before)
  })

  it('closes its source when the reader leaves early', async () => {
    let cancelled = 0
    const endless = () =>
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(floats.subarray(0, -1)),
        cancel: () => void cancelled++,
      })
    for await (const { name } of unpackTensors(endless())) {
      expect(name).toBe('dense')
      break
    }
    expect(cancelled).toBe(1)
    await expect(unpackFrom(endless(), { maxBytes: 10 })).rejects.toThrow(DataError)
    expect(cancelled).toBe(2)
  })

  it('stops when the signal says so, even while nothing arrives', async () => {
    const abort = new AbortController()
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(floats.subarray(0, 500)),
    })
    const result = unpackFrom(stalled, { signal: abort.signal })
    setTimeout(() => abort.abort(new Error('enough')), 5)
    await expect(result).rejects.toThrow('enough')
    await expect(unpackFrom(floats, { signal: AbortSignal.abort() })).rejects.toThrow('aborted')
  })
})

describe('a damaged pack that arrives in chunks', () => {
  const small = writePack(packModels.get('nothing')!)

  it('is found out wherever it ends, and where bytes follow', async () => {
    for (let length = 0; length < small.length; length++)
      await expect(unpackFrom([small.subarray(0, length)])).rejects.toThrow(DataError)
    for (let length = 0; length < floats.length; length += 997)
      await expect(unpackFrom([floats.subarray(0, length)])).rejects.toThrow(DataError)
    await expect(unpackFrom([floats, Uint8Array.of(0)])).rejects.toThrow('left over')
  })

  it('never ends well', async () => {
    for (let i = 0; i < 30; i++) {
      const flipped = floats.slice()
      flipped[random.integer(floats.length)] ^= 1 << random.integer(8)
      await expect(unpackFrom([flipped])).rejects.toThrow(DataError)
    }
  })

  it('gives no tensor where all its bytes are there', async () => {
    const flipped = floats.slice()
    flipped[floats.length - 5] ^= 1
    await expect(unpackTensors(flipped).next()).rejects.toThrow('checksum')
    const tensors = unpackTensors([flipped])
    expect((await tensors.next()).done).toBe(false)
    await expect(tensorsOf(tensors)).rejects.toThrow(DataError)
  })
})
