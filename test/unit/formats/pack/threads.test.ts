import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { UsageError } from '../../../../src/errors.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { describePack } from '../../../../src/formats/pack/describe.ts'
import { unpack, unpackFrom } from '../../../../src/formats/pack/unpack.ts'
import { packOnnx } from '../../../../src/formats/pack/write.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { buildDecoder, importDecoder } from '../../../support/built-decoder.ts'
import { inChunks } from '../../../support/pack-chunks.ts'
import { sparseLayers } from '../../../support/pack-models.ts'

const onnx = writeModel(sparseLayers())
const pack = packOnnx(onnx, { coding: 'adaptive' })
const folder = buildDecoder()
const decoder = await importDecoder(folder)

// A thread takes long to start where others compute.
describe('a pack that is decoded on threads', { timeout: 240_000 }, () => {
  it('is the same on any number of them, whole or in chunks', async () => {
    expect(Buffer.compare(await decoder.unpackFrom(pack, { threads: 1 }), onnx)).toBe(0)
    const chunks = inChunks(pack, createRandom(3), 3000)
    expect(Buffer.compare(await decoder.unpackFrom(chunks, { threads: 3 }), onnx)).toBe(0)
  })

  it('is decoded there, and no thread is left', async () => {
    const exits: Promise<unknown>[] = []
    let answers = 0
    const watch = (worker: Worker) => {
      worker.on('message', ({ symbols }: { symbols?: Uint8Array }) => (answers += symbols ? 1 : 0))
      exits.push(once(worker, 'exit'))
    }
    process.on('worker', watch)
    await decoder.unpackFrom(pack, { threads: 2 })
    process.off('worker', watch)
    expect(exits).toHaveLength(2)
    expect(answers).toBe(describePack(pack).streams.filter(({ codec }) => codec).length)
    await Promise.all(exits)
  })

  it('is decoded to the end where threads die', async () => {
    const kill = (worker: Worker) => void worker.terminate()
    process.on('worker', kill)
    expect(Buffer.compare(await decoder.unpackFrom(pack, { threads: 2 }), onnx)).toBe(0)
    process.off('worker', kill)
  })

  it('gives its tensors in order', async () => {
    const names: string[] = []
    for await (const { name } of decoder.unpackTensors(pack, { threads: 2 })) names.push(name)
    const inTurn: string[] = []
    unpack(pack, { onTensor: ({ name }) => inTurn.push(name) })
    expect(names).toEqual(inTurn)
  })

  it('is found out where it is damaged, in the same words', async () => {
    const damaged = pack.slice()
    damaged[pack.length >> 1] ^= 4
    const alone = await decoder.unpackFrom([damaged]).catch((error: unknown) => error)
    expect(alone).toBeInstanceOf(decoder.DataError)
    await expect(decoder.unpackFrom([damaged], { threads: 2 })).rejects.toThrow((alone as Error).message)
    await expect(decoder.unpackFrom([pack.subarray(0, -9)], { threads: 2 })).rejects.toThrow('ends after')
  })

  it('can be left and stopped', async () => {
    for await (const { name } of decoder.unpackTensors(pack, { threads: 2 })) {
      expect(name).toBe('layer 0')
      break
    }
    const abort = new AbortController()
    const result = decoder.unpackFrom(pack, { threads: 2, signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(result).rejects.toThrow('enough')
  })

  it('is decoded by the calling thread where threads cannot be had', async () => {
    // Under vitest the file that threads run does not exist.
    expect(Buffer.compare(await unpackFrom(pack, { threads: 2 }), onnx)).toBe(0)
    rmSync(join(folder, 'formats/pack/thread.js'))
    expect(Buffer.compare(await decoder.unpackFrom(pack, { threads: 2 }), onnx)).toBe(0)
  })

  it('needs a whole number of threads', async () => {
    for (const threads of [-1, 0.5, Number.NaN]) await expect(unpackFrom(pack, { threads })).rejects.toThrow(UsageError)
  })
})
