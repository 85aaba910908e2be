/** The file that the authors of Deep Compression published, where it is there. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { readDeepCompression } from '../../../../src/formats/deep-compression/read.ts'
import { writeDeepCompression } from '../../../../src/formats/deep-compression/write.ts'
import { readImage } from '../../../../src/formats/images.ts'
import { readModelFile } from '../../../../src/formats/onnx/file.ts'
import { readModel } from '../../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { foldConstants } from '../../../../src/ir/fold.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { bytesOf, float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { sharedData } from '../../../support/shared-data.ts'

const folder = sharedData('deep-compression')
const images = sharedData('imagenet-sample')
const decoded = sharedData('models/squeezenet_v1.0_deepcompression_decoded.onnx')

// Skipped where the published file is not beside the checkout.
describe.skipIf(!folder || !decoded)('compressed_SqueezeNet.net', () => {
  const net = folder ? new Uint8Array(readFileSync(`${folder}/compressed_SqueezeNet.net`)) : new Uint8Array()
  const prototxt = folder ? readFileSync(`${folder}/SqueezeNet_deploy.prototxt`, 'utf8') : ''
  const read = () => readDeepCompression({ net, netPlace: 'net', prototxt, prototxtPlace: 'prototxt' })

  it('becomes a valid model with exactly the weights of the decoded one', async () => {
    const { model, notes } = read()
    expect(notes).toEqual([])
    expect(verify(model)).toEqual([])
    const ours = foldConstants(model, { all: true })
    const theirs = await readModelFile(decoded!)
    const [own, published] = [layers(ours), layers(theirs)]
    expect(own.length).toBe(26)
    expect(own.map(({ name }) => name.replaceAll('/', '_'))).toEqual(published.map(({ name }) => name))
    for (const [i, layer] of own.entries())
      for (const part of ['weight', 'bias'] as const) {
        const [a, b] = [ours.graph.initializers.get(layer[part]!)!, theirs.graph.initializers.get(published[i][part]!)!]
        expect(a.shape).toEqual(b.shape)
        expect(Buffer.compare(bytesOf(a), bytesOf(b))).toBe(0)
      }
  })

  it.skipIf(!images)('computes the same as the decoded one, on noise and on images', async () => {
    const plane = 227 * 227
    const random = createRandom(1)
    const feeds = [Float32Array.from({ length: 3 * plane }, () => random.normal() * 60)]
    for (const file of readdirSync(images!)
      .filter((name) => name.endsWith('.jpg'))
      .slice(0, 3)) {
      const geometry = { height: 227, width: 227, fit: { shortSide: 256 }, channels: 'bgr' } as const
      const pixels = await readImage(`${images}/${file}`, geometry)
      feeds.push(Float32Array.from(pixels, (value, i) => value - [104, 117, 123][Math.floor(i / plane)]))
    }
    const input = float32(Float32Array.from(feeds.flatMap((feed) => [...feed])), [feeds.length, 3, 227, 227])
    const outputs: Tensor[] = []
    for (const model of [read().model, await readModelFile(decoded!)]) {
      const session = await onnxruntime.createSession(model)
      outputs.push((await session.run({ data: input }))['pool_final'])
      await session.close()
    }
    expect(outputs[0].shape).toEqual([4, 1000, 1, 1])
    expect(outputs[0]).toEqual(outputs[1])
  })

  it('is written back byte for byte, also from ONNX', () => {
    const { model } = read()
    for (const same of [model, readModel(writeModel(model))])
      expect(Buffer.compare(writeDeepCompression(same), net)).toBe(0)
  })
})
