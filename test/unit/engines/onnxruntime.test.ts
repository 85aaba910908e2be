import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { ModelError, UnsupportedError, UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { DType } from '../../../src/tensor/dtype.ts'
import { fromNumbers } from '../../../src/tensor/elements.ts'
import { createTensor, float32, identical, scalar, zeros } from '../../../src/tensor/tensor.ts'

function passThrough(dtype: DType, shape: readonly (number | string)[] = ['n']) {
  const draft = createDraft()
  draft.input('x', dtype, shape)
  draft.add('Identity', ['x'], {}, { outputs: ['y'] })
  draft.output('y', dtype, shape)
  return draft.finish()
}

describe('onnxruntime', () => {
  const numeric: DType[] = [
    'float32',
    'float64',
    'float16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
  ]

  it.each(numeric)('carries %s in and out, bit for bit', async (dtype) => {
    const session = await onnxruntime.createSession(passThrough(dtype))
    const x = fromNumbers(dtype, [4], [0, 1, 1, 0])
    const { y } = await session.run({ x })
    expect(identical(x, y)).toBe(true)
    await session.close()
  })

  it('carries strings', async () => {
    const session = await onnxruntime.createSession(passThrough('string'))
    const { y } = await session.run({ x: createTensor('string', [2], ['one', 'zwölf']) })
    expect(y).toEqual({ dtype: 'string', shape: [2], data: ['one', 'zwölf'] })
  })

  it.each(['bfloat16', 'int4', 'uint4', 'float8e4m3fn'] as const)('refuses %s at the boundary', async (dtype) => {
    await expect(onnxruntime.createSession(passThrough(dtype))).rejects.toThrow(UnsupportedError)
    await expect(onnxruntime.createSession(passThrough(dtype))).rejects.toMatchObject({
      code: 'engine-dtype',
      place: 'x',
      hint: expect.stringContaining('Cast'),
    })
  })

  it('keeps four-bit integers inside a graph', async () => {
    const draft = createDraft()
    const codes = draft.constant('codes', createTensor('int4', [3], Uint8Array.from([0x2f, 0x08])))
    const scale = draft.constant('scale', scalar('float32', 0.5))
    draft.output(draft.add('DequantizeLinear', [codes, scale], {}, { outputs: ['y'] }), 'float32', [3])
    const session = await onnxruntime.createSession(draft.finish())
    expect(Array.from((await session.run({}))['y'].data as Float32Array)).toEqual([-0.5, 1, -4])
  })

  it('gives zero-sized and scalar tensors', async () => {
    const empty = await (
      await onnxruntime.createSession(passThrough('float32', ['n', 3]))
    ).run({ x: zeros('float32', [0, 3]) })
    expect(empty['y'].shape).toEqual([0, 3])
    const one = await (await onnxruntime.createSession(passThrough('float32', []))).run({ x: scalar('float32', 2) })
    expect(one['y']).toEqual(scalar('float32', 2))
  })

  it('runs only what is fetched, and fetches all by default', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [2])
    for (const [op, name] of [
      ['Neg', 'a'],
      ['Abs', 'b'],
    ])
      draft.output(draft.add(op, [x], {}, { outputs: [name] }), 'float32', [2])
    const session = await onnxruntime.createSession(draft.finish())
    expect(session.inputs).toEqual(['x'])
    expect(session.outputs).toEqual(['a', 'b'])
    expect(Object.keys(await session.run({ x: float32([1, -1]) }))).toEqual(['a', 'b'])
    expect(await session.run({ x: float32([1, -1]) }, ['b'])).toEqual({ b: float32([1, 1]) })
  })

  it('says which name is wrong', async () => {
    const session = await onnxruntime.createSession(passThrough('float32'))
    const x = float32([1])
    await expect(session.run({})).rejects.toMatchObject({ code: 'missing-feed', place: 'x' })
    await expect(session.run({ x, z: x })).rejects.toMatchObject({ code: 'unknown-feed' })
    await expect(session.run({ x }, ['why'])).rejects.toThrow(UsageError)
    await session.close()
    await session.close()
    await expect(session.run({ x })).rejects.toMatchObject({ code: 'session-closed' })
  })

  it('wraps what onnxruntime says, in its own words', async () => {
    const session = await onnxruntime.createSession(passThrough('float32', [2]))
    await expect(session.run({ x: float32([1, 2, 3]) })).rejects.toThrow(ModelError)
    await expect(session.run({ x: float32([1, 2, 3]) })).rejects.toThrow(/Got invalid dimensions for input: x/)
    const draft = createDraft()
    draft.opsets.set('nobody', 1)
    draft.output(draft.add('Nothing', [draft.input('x', 'float32', [1])], {}, { domain: 'nobody', outputs: ['y'] }))
    await expect(onnxruntime.createSession(draft.finish())).rejects.toThrow(UnsupportedError)
  })

  it('lowers operators of the espalier domain by itself', async () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const x = draft.input('x', 'float32', [3])
    draft.output(draft.add('SignStraightThrough', [x], {}, { domain: 'espalier', outputs: ['y'] }), 'float32', [3])
    const session = await onnxruntime.createSession(draft.finish(), { purpose: 'training', threads: 1 })
    expect(await session.run({ x: float32([-2, 0, 3]) })).toEqual({ y: float32([-1, 1, 1]) })
  })

  it('keeps a quantized convolution apart when training', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [1, 1, 1, 1])
    const scale = draft.constant('scale', scalar('float32', 0.1))
    const zero = draft.constant('zero', scalar('uint8', 0))
    const quantized = draft.add('DequantizeLinear', [draft.add('QuantizeLinear', [x, scale, zero]), scale, zero])
    const w = draft.constant('w', float32([1], [1, 1, 1, 1]))
    draft.output(draft.add('Conv', [quantized, w], {}, { outputs: ['y'] }), 'float32', [1, 1, 1, 1])
    const session = await onnxruntime.createSession(draft.finish(), { purpose: 'training' })
    const { y } = await session.run({ x: float32([0.33], [1, 1, 1, 1]) })
    expect(Number(y.data[0])).toBeCloseTo(0.3, 6)
  })

  it('takes large weights from where they lie, and keeps its own copy', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [1, 600])
    const weights = Float32Array.from({ length: 600 * 600 }, (_, i) => (i % 601 === 0 ? 2 : 0))
    draft.output(draft.add('MatMul', [x, draft.constant('w', float32(weights, [600, 600]))]), 'float32', [1, 600])
    const session = await onnxruntime.createSession(draft.finish())
    const input = float32(
      Float32Array.from({ length: 600 }, (_, i) => i),
      [1, 600],
    )
    weights.fill(0)
    const outputs = await session.run({ x: input })
    expect(Object.values(outputs)[0].data).toEqual(input.data.map((value) => 2 * value))
    await session.close()
  })

  it('probes for a blocked layout of 8 or 16 channels, or none', async () => {
    expect([undefined, 8, 16]).toContain(await onnxruntime.block!())
  })
})
