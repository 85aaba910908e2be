import { expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Method } from '../../../src/methods/method.ts'
import { quantizedNeuralNetworks } from '../../../src/methods/quantization/weights/quantized-neural-networks.ts'
import { uniform } from '../../../src/methods/quantization/weights/uniform.ts'
import { measureSize } from '../../../src/pipelines/measure.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { float32 } from '../../../src/tensor/tensor.ts'

it.each<[string, Method, object, number]>([
  ['a scale a layer', uniform, { granularity: 'tensor' }, 4 * 4096 + 32],
  ['a scale a channel', uniform, {}, 4 * 4096 + 32 * 64],
  ['a scale a group', uniform, { granularity: 'group', groupSize: 16 }, 4 * 4096 + 32 * 256],
  ['zero points, in the 16 bits of codes of a Gemm', uniform, { symmetric: false }, 4 * 4096 + (32 + 16) * 64],
  ['a codebook', quantizedNeuralNetworks, { scheme: 'logarithmic', bits: 6 }, 6 * 4096 + 63 * 32],
])('the account of storage has codes and %s', async (_, method, options, bits) => {
  const random = createRandom(1)
  const draft = createDraft()
  const value = (i: number) => (method === uniform ? random.normal() : (i & 1 ? 1 : -1) * 2 ** (-(i >> 1) % 31))
  const weights = Float32Array.from({ length: 4096 }, (_value, i) => (i % 50 === 0 ? 0 : value(i)))
  const inputs = [draft.input('x', 'float32', ['batch', 64]), draft.constant('w', float32(weights, [64, 64]))]
  draft.output(draft.add('Gemm', inputs), 'float32', ['batch', 64])
  const model = draft.finish()
  const result = await method.apply(model, method.options.parse(options), { seed: 1, engine: onnxruntime, skip() {} })
  expect(measureSize(model, result, 1).storageBytes).toBe(bits / 8)
})
