import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { elementType } from '../../../src/ir/element-type.ts'
import { toFloat32Model, withNarrowedInitializers } from '../../../src/ir/precision.ts'
import { verify } from '../../../src/ir/verify.ts'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { float32, identical, scalar } from '../../../src/tensor/tensor.ts'

function halfModel() {
  const draft = createDraft()
  const x = draft.input('x', 'float16', ['N', 2])
  const weight = draft.constant('weight', fromFloat32('float16', [2, 2], Float32Array.of(0.1, -2, 3, 0.25)))
  const product = draft.add('MatMul', [x, weight])
  const narrow = draft.add('Cast', [draft.add('Cast', [product], { to: 1 })], { to: elementType('float16') })
  const branch = (name: string, factor: number) => {
    const inner = createDraft()
    const value = fromFloat32('float16', [], Float32Array.of(factor))
    const scaled = inner.add(
      'Mul',
      [narrow, inner.add('Constant', [], { value }, { name: `${name}_factor` })],
      {},
      { name },
    )
    inner.output(scaled, 'float16', ['N', 2])
    return { ...inner.finish().graph, inputs: [] }
  }
  const condition = draft.constant('condition', scalar('bool', true))
  const y = draft.add('If', [condition], { then_branch: branch('then', 2), else_branch: branch('else', 3) })
  draft.output(y, 'float16', ['N', 2])
  return draft.finish()
}

describe('toFloat32Model', () => {
  it('widens weights, constants, casts and sub-graphs, and computes the same up to rounding', async () => {
    const half = halfModel()
    const wide = toFloat32Model(half)
    expect(verify(wide)).toEqual([])
    expect(JSON.stringify(wide.graph.inputs)).not.toContain('float16')
    const run = async (model: typeof half, dtype: 'float16' | 'float32') => {
      const session = await onnxruntime.createSession(model, { threads: 1 })
      const results = await session.run({ x: fromFloat32(dtype, [1, 2], Float32Array.of(1.5, -0.5)) })
      await session.close()
      return Object.values(results)[0]
    }
    const [expected, got] = [await run(half, 'float16'), await run(wide, 'float32')]
    expect(got.dtype).toBe('float32')
    toFloat32(expected).forEach((value, i) => expect((got.data as Float32Array)[i]).toBeCloseTo(value, 2))
    expect(half.graph.initializers.get('weight')!.dtype).toBe('float16')
  })

  it('gives a model without halves back as it is', () => {
    const wide = toFloat32Model(halfModel())
    expect(toFloat32Model(wide)).toBe(wide)
  })

  it('puts weights back into the types that they had', () => {
    const half = halfModel()
    const wide = toFloat32Model(half)
    const back = withNarrowedInitializers(half, wide.graph.initializers)
    for (const [name, tensor] of half.graph.initializers)
      expect(identical(back.graph.initializers.get(name)!, tensor)).toBe(true)
    const changed = withNarrowedInitializers(half, new Map([['weight', float32([1, 2, 3, 1 / 3], [2, 2])]]))
    expect([...toFloat32(changed.graph.initializers.get('weight')!)]).toEqual([1, 2, 3, 0.333251953125])
  })
})
