import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { createDraft, type AttributeValue } from '../../../../src/ir/draft.ts'
import { noise, positiveNoise } from '../../../../src/ir/families/noise.ts'
import { granularityOf, scaleIndices } from '../../../../src/ir/families/quantization.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { operators } from '../../../../src/ir/ops/index.ts'
import { fromNumbers, toNumbers } from '../../../../src/tensor/elements.ts'
import { float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { sampleNode } from '../../../support/operator-sample.ts'

/** x -> QuantizeLinear -> DequantizeLinear -> y: four-bit codes must not leave the graph. */
function roundTrip(
  x: Tensor,
  scale: Tensor,
  zeroPoint: Tensor | undefined,
  attributes: Record<string, AttributeValue>,
): Model {
  const draft = createDraft()
  const from = draft.input('x', 'float32', x.shape)
  const scales = draft.constant('scale', scale)
  const zero = zeroPoint && draft.constant('zero', zeroPoint)
  const codes = draft.add('QuantizeLinear', [from, scales, zero], attributes)
  const { output_dtype: _, ...rest } = attributes
  draft.output(draft.add('DequantizeLinear', [codes, scales, zero], rest, { outputs: ['y'] }), 'float32', x.shape)
  return draft.finish()
}

async function run(model: Model, x: Tensor, engine = referenceEngine): Promise<number[]> {
  const session = await engine.createSession(model)
  const { y } = await session.run({ x })
  await session.close()
  return [...toNumbers(y)]
}

describe('four-bit codes', () => {
  it.each([
    ['uint4, zero point', fromNumbers('uint4', [], [8]), float32([0.3], []), {}],
    ['int4 by output_dtype', undefined, float32([0.3], []), { output_dtype: 22 }],
    ['int4, per axis', fromNumbers('int4', [3], [1, -2, 0]), positiveNoise(4, [3], 0.2), { axis: 0 }],
    [
      'uint4, blocked',
      fromNumbers('uint4', [3, 2], [7, 8, 9, 6, 5, 4]),
      positiveNoise(4, [3, 2], 0.2),
      { axis: 1, block_size: 2 },
    ],
  ])('quantize as in onnxruntime: %s', async (_, zeroPoint, scale, attributes) => {
    const x = noise(1, [3, 4])
    const model = roundTrip(x, scale, zeroPoint, attributes)
    expect(await run(model, x)).toEqual(await run(model, x, onnxruntime))
  })
})

describe('quantization', () => {
  it('rounds ties to even and saturates', () => {
    const record = operators.get('QuantizeLinear')!
    const inputs = [float32([0.5, 1.5, 2.5, -0.5, 300, -300]), float32([1], []), fromNumbers('int8', [], [0])]
    const [codes] = record.evaluate!({ node: sampleNode(record, { name: '', inputs }), inputs })
    expect([...toNumbers(codes)]).toEqual([0, 2, 2, 0, 127, -128])
  })

  it('is off by half a step at most, within the range', async () => {
    const x = noise(3, [40])
    const y = await run(roundTrip(x, float32([0.05], []), fromNumbers('int8', [], [3]), {}), x)
    y.forEach((value, i) => expect(Math.abs(value - x.data[i])).toBeLessThanOrEqual(0.025 + 1e-6))
  })

  it('finds the scale of each element of a block, also where the last block is short', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        (outer, size, inner, block) => {
          const shape = [outer, size, inner]
          const blocks = Math.ceil(size / block)
          const record = operators.get('DequantizeLinear')!
          const sample = { name: '', inputs: [float32([]), float32([])], attributes: { axis: 1, block_size: block } }
          const at = scaleIndices(granularityOf(sampleNode(record, sample), shape, [outer, blocks, inner]), shape)
          for (let o = 0; o < outer; o++)
            for (let s = 0; s < size; s++)
              for (let i = 0; i < inner; i++)
                expect(at((o * size + s) * inner + i)).toBe((o * blocks + Math.floor(s / block)) * inner + i)
        },
      ),
    )
  })

  it('refuses scales that fit neither an axis nor blocks', () => {
    const record = operators.get('DequantizeLinear')!
    const node = sampleNode(record, { name: '', inputs: [float32([]), float32([])] })
    expect(() => granularityOf(node, [2, 3], [2, 3])).toThrow(/scales/)
  })
})
