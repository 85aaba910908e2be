import { describe, expect, it } from 'vitest'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { withScaledDropout } from '../../../src/methods/pruning/dropout.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { float32, scalar } from '../../../src/tensor/tensor.ts'
import { tinyModels } from '../../support/tiny-models.ts'

function withDropout(ratio?: number): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['batch', 4])
  const dropped = draft.add('Dropout', [
    x,
    ratio === undefined ? undefined : draft.constant('ratio', scalar('float32', ratio)),
  ])
  const product = draft.add('MatMul', [
    draft.add('Relu', [dropped]),
    draft.constant('w', float32(new Float32Array(16).fill(1), [4, 4])),
  ])
  draft.output(product, 'float32', ['batch', 4])
  return draft.finish()
}

const quarter = new Map([['w', Float32Array.from({ length: 16 }, (_, i) => (i % 4 === 0 ? 1 : 0))]])

function ratioOf(model: Model): number {
  const dropout = model.graph.nodes.find(({ op }) => op === 'Dropout')!
  return toFloat32(model.graph.initializers.get(dropout.inputs[1])!)[0]
}

describe('withScaledDropout', () => {
  it('drops less by the square root of the connections that are left', () => {
    expect(ratioOf(withScaledDropout(withDropout(0.6), quarter))).toBeCloseTo(0.3)
    expect(ratioOf(withScaledDropout(withDropout(), quarter))).toBeCloseTo(0.25)
  })

  it('leaves graphs without dropout, and dropout in front of other layers, alone', () => {
    const [mlp] = tinyModels()
    expect(withScaledDropout(mlp.model, quarter)).toBe(mlp.model)
    expect(ratioOf(withScaledDropout(withDropout(0.6), new Map()))).toBeCloseTo(0.6)
  })
})
