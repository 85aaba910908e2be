import { describe, expect, it } from 'vitest'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { elementType } from '../../../src/ir/element-type.ts'
import { unfoldCodes } from '../../../src/ir/unfold.ts'
import { createTensor, float32, identical } from '../../../src/tensor/tensor.ts'

/** x [1, 512] times weights [512, 600] that are codes into four values. */
function coded(options: { output?: boolean } = {}) {
  const draft = createDraft()
  const x = draft.input('x', 'float32', [1, 512])
  const codes = Uint8Array.from({ length: 512 * 600 }, (_, i) => (i * 7 + (i >> 5)) % 4)
  const indices = draft.constant('codes', createTensor('uint8', [512, 600], codes))
  const cast = draft.add('Cast', [indices], { to: elementType('int32') })
  const codebook = draft.constant('codebook', float32([0, -0.5, 0.25, 1]))
  const weights = draft.add('Gather', [codebook, cast], {}, { outputs: ['weights'] })
  draft.output(draft.add('MatMul', [x, weights], {}, { outputs: ['y'] }), 'float32', [1, 600])
  if (options.output) draft.output(weights, 'float32', [512, 600])
  return draft.finish()
}

describe('unfoldCodes', () => {
  const weightBytes = 512 * 600 * 4

  it('leaves the weights in the place of codebook, codes and Cast', () => {
    const model = coded()
    const unfolded = unfoldCodes(model, weightBytes)
    expect(unfolded.graph.nodes.map(({ op }) => op)).toEqual(['MatMul'])
    expect([...unfolded.graph.initializers.keys()]).toEqual(['weights'])
    const { shape, data } = unfolded.graph.initializers.get('weights')!
    expect(shape).toEqual([512, 600])
    const codes = model.graph.initializers.get('codes')!.data
    expect([0, 1, 2, 40, 307_199].every((i) => data[i] === [0, -0.5, 0.25, 1][Number(codes[i])])).toBe(true)
  })

  it('changes nothing below the threshold, in outputs, and where there are no codes', () => {
    const model = coded()
    expect(unfoldCodes(model, weightBytes + 1)).toBe(model)
    const output = coded({ output: true })
    expect(unfoldCodes(output, 1)).toBe(output)
    const unfolded = unfoldCodes(model, 1)
    expect(unfoldCodes(unfolded, 1)).toBe(unfolded)
  })

  it('makes no difference to what comes out', async () => {
    const model = coded()
    const x = float32(
      Float32Array.from({ length: 512 }, (_, i) => (i % 9) - 4),
      [1, 512],
    )
    const expected = await (await referenceEngine.createSession(unfoldCodes(model, 1))).run({ x })
    const { y } = await (await onnxruntime.createSession(model)).run({ x })
    const checked = await (await onnxruntime.createSession(model, { purpose: 'check' })).run({ x })
    // Quarters of small whole numbers are exact in any order of summation.
    expect(identical(y, expected['y'])).toBe(true)
    expect(identical(checked['y'], y)).toBe(true)
  })
})
