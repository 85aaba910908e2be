import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import { lower } from '../../../../../src/autodiff/lower.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import type { ProofCheck } from '../../../../../src/methods/method.ts'
import { dataInput } from '../../../../../src/methods/quantization/activations/family/placement.ts'
import { ternaryActivations } from '../../../../../src/methods/quantization/activations/ternary-activations.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { trainingForward } from '../../../../../src/training/forward.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'
import { valueOn } from '../../../../support/values.ts'

const [{ model, inputShape, classes }] = tinyModels()
const data = {
  train: patternData({ size: 96, seed: 1, classes, inputShape, noise: 0.5 }),
  validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.5 }),
}

async function applied(options: object) {
  const checks: ProofCheck[] = []
  const result = await ternaryActivations.apply(
    model,
    ternaryActivations.options.parse({ ends: true, include: ['fc2'], ...options }),
    {
      seed: 1,
      engine: onnxruntime,
      data,
      training: { epochs: 4, batchSize: 16, learningRate: 0.05 },
      skip: () => {},
      proved: (check) => checks.push(check),
    },
  )
  expect(verify(result)).toEqual([])
  expect(checks.map(({ passed }) => passed)).toEqual([true])
  return result
}

describe('ternary activations', () => {
  it('are the most probable of three values in what comes out, in integer codes', async () => {
    const result = await applied({ retrain: false })
    const [first, second] = layers(result)
    const [before, read] = [
      await valueOn(data.train, result, first.node.outputs[0]),
      await valueOn(data.train, result, dataInput(second)),
    ]
    for (const [i, x] of before.entries()) expect(read[i]).toBe(Math.abs(Math.tanh(x)) > 0.5 ? Math.sign(x) : 0)
    expect(new Set(read).size).toBe(3)
    const ops = result.graph.nodes.map(({ op }) => op)
    expect(ops).toContain('DequantizeLinear')
    expect(ops).not.toContain('Relu')
  })

  it('fire with the probability |tanh x| in training, with the gradient of tanh', async () => {
    const draft = createDraft()
    const xs = [-2, -0.5, 0, 0.3, 1]
    const shape = [2000, xs.length]
    draft.output(draft.add('espalier.StochasticTernary', [draft.input('x', 'float32', shape)]), 'float32', shape)
    const training = trainingForward(draft.finish())
    expect(training.random).toMatchObject([{ shape, batched: true, values: { kind: 'uniform' } }])
    const session = await onnxruntime.createSession(lower(training.draft.finish()))
    const random = createRandom(3)
    const outputs = await session.run({
      x: float32(
        Float32Array.from({ length: 2000 * xs.length }, (_, i) => xs[i % xs.length]),
        shape,
      ),
      [training.random[0].input]: float32(
        Float32Array.from({ length: 2000 * xs.length }, () => random.uniform()),
        shape,
      ),
    })
    await session.close()
    const values = toFloat32(outputs[session.outputs[0]])
    expect([...new Set(values.map((value) => value + 0))].sort((a, b) => a - b)).toEqual([-1, 0, 1])
    for (const [column, x] of xs.entries()) {
      const own = values.filter((_, i) => i % xs.length === column)
      const mean = own.reduce((sum, value) => sum + value, 0) / own.length
      expect(Math.abs(mean - Math.tanh(x))).toBeLessThan(0.04)
    }
  })

  it('let what stands before them learn, by the same chance for the same seed', async () => {
    const [still, moved, again] = [await applied({ retrain: false }), await applied({}), await applied({})]
    const [before, after, same] = [still, moved, again].map(({ graph }) => graph.initializers.get('fc1.weight')!.data)
    expect(after).not.toEqual(before)
    expect(after).toEqual(same)
    expect(moved.graph.nodes.some(({ domain }) => domain !== '')).toBe(false)
  })
})
