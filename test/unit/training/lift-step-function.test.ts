import { describe, expect, it } from 'vitest'
import { inlineCustomFunctions } from '../../../src/autodiff/lower.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { readModel } from '../../../src/formats/onnx/read.ts'
import { writeModel } from '../../../src/formats/onnx/write.ts'
import { float32, type Tensor } from '../../../src/tensor/tensor.ts'
import { lift } from '../../../src/training/lift.ts'

/** A model of one step function between two other nodes. */
function stepModel(thresholds: Tensor, levels: Tensor): Model {
  const draft = createDraft()
  const x = draft.add('Neg', [draft.input('x', 'float32', [2, 3, 4])])
  const inputs = [x, draft.constant('thresholds', thresholds), draft.constant('levels', levels)]
  const y = draft.add('espalier.StepFunction', inputs)
  draft.output(draft.add('Neg', [y], {}, { outputs: ['y'] }), 'float32', [2, 3, 4])
  return draft.finish()
}

const count = (size: number, f: (i: number) => number) => float32(Array.from({ length: size }, (_, i) => f(i)))

describe('step functions behind their bodies', () => {
  it.each([
    { name: 'one level', thresholds: count(1, () => 0), levels: float32([0, 0.75]) },
    { name: 'multiples of a step', thresholds: count(3, (i) => i), levels: count(4, (i) => i * 0.5) },
    { name: 'a codebook', thresholds: count(2, (i) => i), levels: float32([0, 0.3, 1]) },
    { name: 'fifteen thresholds', thresholds: count(15, (i) => i), levels: count(16, (i) => Math.sqrt(i)) },
    { name: 'a table to search', thresholds: count(31, (i) => i * i), levels: count(32, (i) => i * 0.25) },
    { name: 'a table and a codebook', thresholds: count(63, (i) => i), levels: count(64, (i) => Math.sqrt(i)) },
    { name: 'the most', thresholds: count(255, (i) => i), levels: count(256, (i) => i * 2) },
    { name: 'thresholds of channels', thresholds: float32([0, 1, 2, 3, 4, 5], [2, 3, 1]), levels: float32([0, 1, 2]) },
    { name: 'signs', thresholds: float32([-0.5, 0.5]), levels: float32([-1, 0, 1]), gradient: 'hard-tanh' },
    { name: 'powers of two', thresholds: float32([-4, -3, -1, 1, 3]), levels: float32([-4, -4, -2, 0, 2, 4]) },
  ])('are found: $name', ({ thresholds, levels, gradient }) => {
    const exported = readModel(writeModel(inlineCustomFunctions(stepModel(thresholds, levels))))
    expect(exported.graph.nodes.some(({ domain }) => domain !== '')).toBe(false)
    const { graph } = lift(exported)
    const [, step] = graph.nodes
    expect(graph.nodes.map(({ op }) => op)).toEqual(['Neg', 'StepFunction', 'Neg'])
    expect(step.inputs[0]).toBe(graph.nodes[0].outputs[0])
    expect(graph.initializers.get(step.inputs[1])).toEqual(thresholds)
    expect(graph.initializers.get(step.inputs[2])).toEqual(levels)
    expect(step.attributes.gradient).toEqual(gradient && { kind: 'string', value: gradient })
  })

  it('stay as they are where something else reads the code, and counts of two values are none', () => {
    const draft = createDraft()
    const [a, b] = [draft.input('a', 'float32', [4]), draft.input('b', 'float32', [4])]
    const over = (x: string, threshold: number) =>
      draft.add('Cast', [draft.add('Greater', [x, draft.constant('t', float32([threshold], []))])], { to: 1 })
    const code = draft.add('Cast', [draft.add('Add', [over(a, 0), over(b, 1)])], { to: 6 })
    draft.output(draft.add('Gather', [draft.constant('levels', float32([0, 1, 2])), code]), 'float32', [4])
    const model = draft.finish()
    expect(lift(model)).toBe(model)
  })
})
