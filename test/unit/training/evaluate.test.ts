import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Dim, Model } from '../../../src/ir/model.ts'
import type { DType } from '../../../src/tensor/dtype.ts'
import { elementType } from '../../../src/ir/element-type.ts'
import { float32, int64 } from '../../../src/tensor/tensor.ts'
import { evaluate } from '../../../src/training/evaluate.ts'

/** Seven examples of shape [1, 2, 3]; a network that returns its input says which class is largest. */
const rows = [
  [3, 1, 0, 0, 0, 0],
  [0, 2, 1, 0, 0, 0],
  [0, 0, 0, 5, 0, 0],
  [1, 1, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 9],
  [0, 0, 4, 0, 0, 0],
  [6, 5, 4, 3, 2, 1],
]
const labels = [0, 1, 2, 1, 5, 2, 5]
const expectedHits = [1, 1, 0, 0, 1, 1, 0]

const data: Dataset = {
  name: 'rows',
  size: 7,
  inputShape: [1, 2, 3],
  classes: 6,
  batch: async (indices) => ({
    inputs: float32(
      Array.from(indices).flatMap((i) => rows[i]),
      [indices.length, 1, 2, 3],
    ),
    labels: Int32Array.from(indices, (i) => labels[i]),
  }),
}

function meanLoss(): number {
  const losses = rows.map((row, i) => Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[labels[i]])
  return losses.reduce((sum, loss) => sum + loss, 0) / rows.length
}

interface Form {
  shape: readonly Dim[]
  dtype?: DType
  target?: readonly number[]
  tail?: 'Softmax' | 'LogSoftmax'
  axes?: readonly number[]
}

function identityModel({ shape, dtype = 'float32', target = [-1, 6], tail, axes }: Form): Model {
  const draft = createDraft()
  const input = draft.input('input', dtype, shape)
  let value = draft.add('Reshape', [input, draft.constant('target', int64([...target]))])
  if (tail) value = draft.add(tail, [value], { axis: 1 })
  if (axes) value = draft.add('Unsqueeze', [value, draft.constant('axes', int64([...axes]))])
  draft.output(draft.add('Cast', [value], { to: elementType(dtype) }), dtype)
  return draft.finish()
}

describe('evaluate', () => {
  it.each<[string, Form]>([
    ['logits, symbolic batch', { shape: ['N', 1, 2, 3] }],
    ['probabilities', { shape: ['N', 1, 2, 3], tail: 'Softmax' }],
    ['log-probabilities', { shape: ['N', 1, 2, 3], tail: 'LogSoftmax' }],
    ['another shape of the input', { shape: ['N', 6, 1] }],
    ['batch 1', { shape: [1, 1, 2, 3], target: [1, 6] }],
    ['a fixed batch that does not divide the examples', { shape: [4, 1, 2, 3], target: [4, 6] }],
    ['no batch axis', { shape: [6] }],
    ['open sizes', { shape: ['N', 'C', 'H', 'W'] }],
    ['half precision', { shape: ['N', 1, 2, 3], dtype: 'float16' }],
    ['outputs with further axes of size 1', { shape: ['N', 1, 2, 3], axes: [2, 3] }],
  ])('measures %s', async (_, form) => {
    const result = await evaluate(identityModel(form), data, engine, { batchSize: 3 })
    expect([...result.hits]).toEqual(expectedHits)
    expect(result).toMatchObject({ correct: 4, count: 7 })
    expect(result.accuracy).toBeCloseTo(4 / 7, 12)
    expect(result.error).toBeCloseTo(3 / 7, 12)
    expect(result.top5).toBeCloseTo(6 / 7, 12)
    expect(result.loss).toBeCloseTo(meanLoss(), form.dtype === 'float16' ? 2 : 5)
  })

  it('looks at the output that is named, and reports progress', async () => {
    const draft = createDraft(identityModel({ shape: ['N', 1, 2, 3] }))
    const negative = draft.add('Neg', [draft.outputs[0].name])
    draft.outputs.unshift({ name: negative, type: { dtype: 'float32' } })
    const model = draft.finish()
    const done: number[] = []
    const named = await evaluate(model, data, engine, {
      output: model.graph.outputs[1].name,
      batchSize: 4,
      progress: (event) => done.push(event.done),
    })
    expect(named.correct).toBe(4)
    expect(done).toEqual([4, 7])
    expect((await evaluate(model, data, engine)).correct).not.toBe(4)
    await expect(evaluate(model, data, engine, { output: 'nothing' })).rejects.toMatchObject({ code: 'unknown-output' })
  })

  it('refuses what does not fit', async () => {
    const model = identityModel({ shape: ['N', 1, 2, 4] })
    await expect(evaluate(model, data, engine)).rejects.toMatchObject({ code: 'input-shape' })
    const good = identityModel({ shape: ['N', 1, 2, 3] })
    await expect(evaluate(good, { ...data, size: 0 }, engine)).rejects.toMatchObject({ code: 'no-examples' })
    const wrong: Dataset = {
      ...data,
      batch: async (indices) => ({ ...(await data.batch(indices)), labels: Int32Array.from(indices, () => 7) }),
    }
    await expect(evaluate(good, wrong, engine)).rejects.toMatchObject({ code: 'label-range' })
    await expect(evaluate(good, { ...wrong, classes: 8 }, engine)).rejects.toMatchObject({ code: 'class-count' })
    const signal = AbortSignal.abort()
    await expect(evaluate(good, data, engine, { signal })).rejects.toMatchObject({ code: 'aborted' })
  })
})
