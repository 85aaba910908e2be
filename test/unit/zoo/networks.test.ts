import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { inferShapes } from '../../../src/ir/shapes.ts'
import { verify } from '../../../src/ir/verify.ts'
import { elementCount, float32, identical } from '../../../src/tensor/tensor.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { networks } from '../../../src/zoo/index.ts'
import { resnet } from '../../../src/zoo/resnet.ts'
import type { Model } from '../../../src/ir/model.ts'

function counts(model: Model): { weights: number; biases: number } {
  let weights = 0
  let biases = 0
  for (const [name, { shape }] of model.graph.initializers) {
    if (name.endsWith('.weight') && shape.length > 1) weights += elementCount(shape)
    else if (name.endsWith('.bias')) biases += elementCount(shape)
  }
  return { weights, biases }
}

describe.each([...networks.values()])('$name', ({ name, build, inputShape, classes, summary }) => {
  const model = build({ seed: 1 })

  it('is described, valid, and has logits for a batch of any size', () => {
    expect(summary).toMatch(/^[A-Z].*\.$/)
    expect(verify(model)).toEqual([])
    expect(model.graph.inputs[0].type).toEqual({ dtype: 'float32', shape: ['N', ...inputShape] })
    expect(model.graph.outputs.map((output) => output.name)).toEqual(['logits'])
    expect(inferShapes(model).get('logits')).toEqual({ dtype: 'float32', shape: ['N', classes] })
    expect(model.metadata.get('espalier.network')).toBe(name)
  })

  it('runs, with outputs neither vanishing nor exploding', async () => {
    const session = await onnxruntime.createSession(model, { threads: 1 })
    const random = createRandom(2)
    const shape = [3, ...inputShape]
    const input = float32(
      Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
      shape,
    )
    const { logits } = await session.run({ input })
    await session.close()
    expect(logits.shape).toEqual([3, classes])
    const values = logits.data as Float32Array
    const spread = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
    expect(spread).toBeGreaterThan(0.02)
    // Before training, batch normalization does nothing, and each residual block doubles the variance.
    expect(spread).toBeLessThan(name.startsWith('resnet') ? 1e6 : 100)
  })

  it('depends on the seed and nothing else', () => {
    const again = build({ seed: 1 })
    for (const [key, tensor] of model.graph.initializers)
      expect(identical(tensor, again.graph.initializers.get(key)!)).toBe(true)
    const other = build({ seed: 2, classes: 7 })
    expect(other.graph.outputs[0].type!.shape).toEqual(['N', 7])
    const [key, tensor] = [...model.graph.initializers].find(([, { shape }]) => shape.length > 1)!
    expect(identical(tensor, other.graph.initializers.get(key)!)).toBe(false)
  })
})

describe('sizes', () => {
  it('are those of the literature', () => {
    const of = (name: string) => counts(networks.get(name)!.build({ seed: 1 }))
    expect(of('lenet-300-100')).toEqual({ weights: 266_200, biases: 410 })
    expect(of('lenet-5')).toEqual({ weights: 430_500, biases: 580 })
    expect(of('resnet-20').weights).toBe(268_336)
    expect(of('vgg-small').weights).toBe(4_656_512)
    expect(of('vgg-tiny').weights).toBe(1_180_336)
    const projected = resnet({ seed: 1, depth: 20, shortcut: 'projection' })
    expect(counts(projected).weights).toBe(268_336 + 16 * 32 + 32 * 64)
    expect(() => resnet({ seed: 1, depth: 21 })).toThrow(/6n \+ 2/)
  })
})
