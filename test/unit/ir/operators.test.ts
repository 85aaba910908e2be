import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/autodiff/gradient.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { ModelError, UnsupportedError } from '../../../src/errors.ts'
import { createDraft, float, type AttributeValue } from '../../../src/ir/draft.ts'
import { range, takeAxes } from '../../../src/ir/families/movement.ts'
import { reshapeTies } from '../../../src/ir/families/reshaping.ts'
import { operators } from '../../../src/ir/ops/index.ts'
import { fromNumbers, toNumbers } from '../../../src/tensor/elements.ts'
import { createTensor, float32, int64, scalar, zeros, type Tensor } from '../../../src/tensor/tensor.ts'
import { sampleNode } from '../../support/operator-sample.ts'

type Attributes = Record<string, AttributeValue>

function evaluate(type: string, inputs: readonly (Tensor | undefined)[], attributes: Attributes = {}): Tensor {
  const record = operators.get(type)!
  return record.evaluate!({ node: sampleNode(record, { name: type, inputs, attributes }), inputs })[0]
}

/** The gradient of the sum of an operator's output by its first input. */
async function gradient(type: string, inputs: readonly Tensor[], attributes: Attributes = {}): Promise<number[]> {
  const draft = createDraft()
  const names = inputs.map((input, i) => draft.constant(`x${i}`, input))
  const y = draft.add(type, names, attributes)
  const loss = draft.add('ReduceSum', [y], { keepdims: 0 })
  draft.output(loss, 'float32', [])
  const { model, gradients } = differentiate(draft.finish(), { loss, parameters: [names[0]] })
  const results = await (await referenceEngine.createSession(model)).run({})
  return [...toNumbers(results[gradients.get(names[0])!])]
}

describe('gradients where there is a choice', () => {
  it('are shared evenly among equal inputs of Max and Min', async () => {
    expect(await gradient('Max', [float32([1, 2, 3]), float32([1, 3, 2])])).toEqual([0.5, 0, 1])
    expect(await gradient('Min', [float32([1, 2, 3]), float32([1, 3, 2])])).toEqual([0.5, 1, 0])
  })

  it('are shared evenly among equal elements of ReduceMax', async () => {
    expect(await gradient('ReduceMax', [float32([4, 1, 4, 4, 0])])).toEqual(
      [1 / 3, 0, 1 / 3, 1 / 3, 0].map(Math.fround),
    )
  })

  it('pass on the bounds of Clip', async () => {
    const bounds = [scalar('float32', 0), scalar('float32', 6)]
    expect(await gradient('Clip', [float32([-1, 0, 3, 6, 7]), ...bounds])).toEqual([0, 1, 1, 1, 0])
  })

  it('are zero at the kinks of Abs and Relu', async () => {
    expect(await gradient('Abs', [float32([-2, 0, 2])])).toEqual([-1, 0, 1])
    expect(await gradient('Relu', [float32([-2, 0, 2])])).toEqual([0, 0, 1])
    expect(await gradient('ReduceL2', [float32([0, 0])])).toEqual([0, 0])
  })

  it('of ReduceProd are right beside zeros', async () => {
    const one: Attributes = { keepdims: 0 }
    expect(await gradient('ReduceProd', [float32([2, 3, 4])], one)).toEqual([12, 8, 6])
    expect(await gradient('ReduceProd', [float32([2, 0, 4])], one)).toEqual([0, 8, 0])
    expect(await gradient('ReduceProd', [float32([0, 3, 0])], one)).toEqual([0, 0, 0])
  })

  it('add up where Gather takes an entry twice', async () => {
    expect(await gradient('Gather', [float32([5, 6, 7]), int64([2, 0, 2, 2])])).toEqual([1, 0, 3])
  })

  it('are refused where there is none, by name of the node', async () => {
    const inputs = [float32([1, 2]), int64([0]), float32([3])]
    await expect(gradient('ScatterElements', inputs, { reduction: 'mul' })).rejects.toThrow(UnsupportedError)
    const dropped = [float32([1, 2]), scalar('float32', 0.5), scalar('bool', true)]
    await expect(gradient('Dropout', dropped)).rejects.toThrow(/mask/)
  })
})

describe('misuse', () => {
  const x = float32([1, 2, 3, 4, 5, 6], [2, 3])
  const wrong: readonly (readonly [string, readonly Tensor[], Attributes])[] = [
    ['Add', [x, float32([1, 2])], {}],
    ['Softmax', [x], { axis: 2 }],
    ['Reshape', [x, int64([4, -1])], {}],
    ['Reshape', [x, int64([7])], {}],
    ['Transpose', [x], { perm: [0, 0] }],
    ['Concat', [x, float32([1, 2])], { axis: 0 }],
    ['Concat', [x, float32([1, 2], [1, 2])], { axis: 0 }],
    ['Split', [x, int64([1, 3])], { axis: 0 }],
    ['Slice', [x, int64([0]), int64([1]), int64([0]), int64([0])], {}],
    ['Gather', [x, int64([2])], { axis: 0 }],
    ['GatherND', [x, int64([0, 0, 0], [1, 3])], {}],
    ['ScatterElements', [x, int64([5], [1, 1]), float32([1], [1, 1])], {}],
    ['Squeeze', [x, int64([0])], {}],
    ['Unsqueeze', [x, int64([0, 0])], {}],
    ['ReduceSum', [x, int64([1, -1])], {}],
    ['Pad', [x, int64([1, 1])], {}],
    ['TopK', [x, int64([4])], {}],
    ['Range', [scalar('int64', 0), scalar('int64', 1), scalar('int64', 0)], {}],
    ['Cast', [x], { to: 99 }],
    ['DepthToSpace', [float32([1, 2], [1, 2, 1, 1])], { blocksize: 2 }],
  ]
  it.each(wrong)('of %s is an error about the node', (type, inputs, attributes) => {
    try {
      evaluate(type, inputs, attributes)
      expect.unreachable()
    } catch (error) {
      expect(error).toSatisfy((each) => each instanceof ModelError || each instanceof UnsupportedError)
    }
  })
})

describe('integers', () => {
  it('stay exact and wrap around', () => {
    const big = int64([2n ** 62n])
    expect(evaluate('Mul', [big, int64([3n])]).data).toEqual(BigInt64Array.of(BigInt.asIntN(64, 3n * 2n ** 62n)))
    const factor = fromNumbers('int32', [1], [65537])
    expect(evaluate('Mul', [factor, factor]).data).toEqual(Int32Array.of(131073))
    expect(evaluate('Div', [int64([-7]), int64([2])]).data).toEqual(BigInt64Array.of(-3n))
    expect(evaluate('Add', [fromNumbers('uint8', [1], [250]), fromNumbers('uint8', [1], [10])]).data).toEqual(
      Uint8Array.of(4),
    )
  })
})

describe('movement', () => {
  it('carries texts, nibbles and half floats as they are', () => {
    const texts = createTensor('string', [2, 2], ['a', 'b', 'c', 'd'])
    expect(evaluate('Transpose', [texts]).data).toEqual(['a', 'c', 'b', 'd'])
    const nibbles = fromNumbers('int4', [3], [-8, 3, 7])
    expect([...toNumbers(evaluate('Concat', [nibbles, nibbles], { axis: 0 }))]).toEqual([-8, 3, 7, -8, 3, 7])
    const halves = createTensor('float16', [2], Uint16Array.of(0x7e01, 0x8000))
    expect(evaluate('Gather', [halves, int64([1, 0])]).data).toEqual(Uint16Array.of(0x8000, 0x7e01))
  })

  it('takes along all axes at once, with a fill', () => {
    const matrix = float32(range(0, 6), [2, 3])
    const taken = takeAxes(
      matrix,
      [
        [1, -1],
        [2, 0],
      ],
      scalar('float32', 9),
    )
    expect([...taken.data]).toEqual([5, 3, 9, 9])
    expect(takeAxes(zeros('int8', [0, 3]), [undefined, [1]]).shape).toEqual([0, 1])
  })
})

/** The ties of a Reshape, each as [input axis, repeat, output axis, repeat]. */
function ties(from: readonly number[], to: readonly number[]): unknown {
  const node = sampleNode(operators.get('Relu')!, { name: '', inputs: [] })
  const [input, output] = [from, to].map((shape) => ({ dtype: 'float32' as const, shape }))
  return reshapeTies({ node, inputs: [input], outputs: [output] }).map(({ ports: [x, y] }) => [
    x.axis,
    x.repeat,
    y.axis,
    y.repeat,
  ])
}

describe('the coupling of reshapes', () => {
  it('gives each channel the pixels behind it', () => {
    expect(ties([2, 20, 4, 5], [2, 400])).toEqual([
      [0, 1, 0, 1],
      [1, 1, 1, 20],
    ])
    expect(ties([1, 50, 4, 4], [1, 800])).toEqual([
      [0, 1, 0, 1],
      [1, 1, 1, 16],
    ])
  })

  it('passes through split groups and unit axes', () => {
    expect(ties([2, 12, 3], [2, 4, 3, 3])).toEqual([
      [0, 1, 0, 1],
      [1, 3, 1, 1],
      [2, 1, 3, 1],
    ])
    expect(ties([5, 1, 1], [5])).toEqual([[0, 1, 0, 1]])
    expect(ties([1, 6], [6])).toEqual([[1, 1, 0, 1]])
    expect(ties([0, 3], [3, 0])).toEqual([])
  })
})

describe('attributes', () => {
  it('have their defaults', () => {
    expect([...toNumbers(evaluate('LeakyRelu', [float32([-1])]))]).toEqual([Math.fround(-0.01)])
    expect([...toNumbers(evaluate('LeakyRelu', [float32([-1])], { alpha: float(0.5) }))]).toEqual([-0.5])
  })
})
