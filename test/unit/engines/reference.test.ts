import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { UnsupportedError, UsageError } from '../../../src/errors.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import type { Graph, Model, Node, ValueInfo } from '../../../src/ir/model.ts'
import { toNumbers } from '../../../src/tensor/elements.ts'
import { float32, int64, scalar, type Tensor } from '../../../src/tensor/tensor.ts'

const node = (op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = {}): Node => ({
  name: `${op}_${outputs[0]}`,
  op,
  domain: '',
  inputs,
  outputs,
  attributes,
})
const info = (name: string, dtype: Tensor['dtype'], shape: (number | string)[]): ValueInfo => ({
  name,
  type: { dtype, shape },
})
const graph = (
  nodes: Node[],
  inputs: ValueInfo[],
  outputs: ValueInfo[],
  initializers: [string, Tensor][] = [],
): Graph => ({
  name: 'g',
  nodes,
  inputs,
  outputs,
  initializers: new Map(initializers),
  values: [],
})
const model = (main: Graph, functions: Model['functions'] = []): Model => ({
  irVersion: 10,
  opsets: new Map([
    ['', 21],
    ['local', 1],
  ]),
  graph: main,
  functions,
  metadata: new Map(),
})

/** Runs both engines, checks that they agree, and returns what they say. */
async function both(made: Model, feeds: Record<string, Tensor>): Promise<Record<string, readonly number[]>> {
  const results = await Promise.all(
    [referenceEngine, onnxruntime].map(async (engine) => {
      const session = await engine.createSession(made)
      const values = await session.run(feeds)
      await session.close()
      return Object.fromEntries(
        Object.entries(values).map(([name, tensor]) => [name, [tensor.shape, [...toNumbers(tensor)]] as const]),
      )
    }),
  )
  expect(results[0]).toEqual(results[1])
  return Object.fromEntries(Object.entries(results[0]).map(([name, [, values]]) => [name, values]))
}

describe('the reference engine', () => {
  it('runs nodes in order, with initializers as defaults of inputs', async () => {
    const draft = createDraft()
    draft.input('x', 'float32', [2])
    const sum = draft.add('Add', ['x', draft.constant('one', float32([1, 1]))])
    draft.output(draft.add('Relu', [sum], {}, { outputs: ['y'] }), 'float32', [2])
    expect(await both(draft.finish(), { x: float32([-3, 4]) })).toEqual({ y: [0, 5] })
  })

  it('takes the branch of an If that its condition says, and sees outer values from it', async () => {
    const branch = (op: string) => graph([node(op, ['x', 'x'], ['r'])], [], [info('r', 'float32', [2])])
    const main = graph(
      [
        node('If', ['c'], ['y'], {
          then_branch: { kind: 'graph', value: branch('Add') },
          else_branch: { kind: 'graph', value: branch('Mul') },
        }),
      ],
      [info('c', 'bool', []), info('x', 'float32', [2])],
      [info('y', 'float32', [2])],
    )
    const x = float32([3, -5])
    expect(await both(model(main), { x, c: scalar('bool', true) })).toEqual({ y: [6, -10] })
    expect(await both(model(main), { x, c: scalar('bool', false) })).toEqual({ y: [9, 25] })
  })

  describe('Loop', () => {
    /** Doubles v each round, stops when it reaches the limit, and stacks what it had. */
    const body = graph(
      [node('Add', ['v', 'v'], ['w']), node('Identity', ['v'], ['row']), node('Less', ['w', 'limit'], ['go'])],
      [info('i', 'int64', []), info('c', 'bool', []), info('v', 'float32', [1])],
      [info('go', 'bool', [1]), info('w', 'float32', [1]), info('row', 'float32', [1])],
    )
    const loop = graph(
      [node('Loop', ['n', '', 'x'], ['y', 'rows'], { body: { kind: 'graph', value: body } })],
      [info('n', 'int64', []), info('x', 'float32', [1]), info('limit', 'float32', [1])],
      [info('y', 'float32', [1]), info('rows', 'float32', ['rounds', 1])],
    )

    it('ends by its trip count', async () => {
      const feeds = { n: int64([3], []), x: float32([1]), limit: float32([100]) }
      expect(await both(model(loop), feeds)).toEqual({ y: [8], rows: [1, 2, 4] })
    })

    it('ends by its condition', async () => {
      const feeds = { n: int64([10], []), x: float32([1]), limit: float32([4]) }
      expect(await both(model(loop), feeds)).toEqual({ y: [4], rows: [1, 2] })
    })

    it('may not run at all', async () => {
      const feeds = { n: int64([0], []), x: float32([1]), limit: float32([4]) }
      expect(await both(model(loop), feeds)).toEqual({ y: [1], rows: [] })
    })
  })

  it('scans forwards and backwards along any axis', async () => {
    const body = graph(
      [node('Add', ['s', 'a'], ['t']), node('Sub', ['t', 'b'], ['d'])],
      [info('s', 'float32', [2]), info('a', 'float32', [2]), info('b', 'float32', [2])],
      [info('t', 'float32', [2]), info('d', 'float32', [2])],
    )
    const main = graph(
      [
        node('Scan', ['s0', 'a', 'b'], ['y', 'rows'], {
          body: { kind: 'graph', value: body },
          num_scan_inputs: { kind: 'int', value: 2 },
          scan_input_axes: { kind: 'ints', value: [0, 1] },
          scan_input_directions: { kind: 'ints', value: [0, 1] },
          scan_output_axes: { kind: 'ints', value: [1] },
          scan_output_directions: { kind: 'ints', value: [1] },
        }),
      ],
      [info('s0', 'float32', [2]), info('a', 'float32', [3, 2]), info('b', 'float32', [2, 3])],
      [info('y', 'float32', [2]), info('rows', 'float32', [2, 3])],
    )
    const a = float32([1, 2, 3, 4, 5, 6], [3, 2])
    const b = float32([10, 20, 30, 40, 50, 60], [2, 3])
    const { y } = await both(model(main), { s0: float32([0, 100]), a, b })
    expect(y).toEqual([9, 112])
  })

  it('runs local functions', async () => {
    const twice = {
      name: 'Twice',
      domain: 'local',
      inputs: ['a'],
      outputs: ['b'],
      attributes: [],
      attributeDefaults: {},
      nodes: [node('Add', ['a', 'a'], ['b'])],
      opsets: new Map([['', 21]]),
    }
    const call = { ...node('Twice', ['x'], ['y']), domain: 'local' }
    const main = graph([call], [info('x', 'float32', [1])], [info('y', 'float32', [1])])
    expect(await both(model(main, [twice]), { x: float32([4]) })).toEqual({ y: [8] })
  })

  it('names the node that it cannot evaluate, in sub-graphs too', async () => {
    const unknown = { ...node('Mystery', ['x'], ['r']), domain: 'acme' }
    const branch = graph([unknown], [], [info('r', 'float32', [1])])
    const main = graph(
      [
        node('If', ['c'], ['y'], {
          then_branch: { kind: 'graph', value: branch },
          else_branch: { kind: 'graph', value: branch },
        }),
      ],
      [info('c', 'bool', []), info('x', 'float32', [1])],
      [info('y', 'float32', [1])],
    )
    const attempt = referenceEngine.createSession(model(main))
    await expect(attempt).rejects.toThrow(UnsupportedError)
    await expect(attempt).rejects.toMatchObject({ place: 'Mystery_r' })
  })

  it('stops a Loop without an end', async () => {
    const body = graph(
      [node('Identity', ['c'], ['go'])],
      [info('i', 'int64', []), info('c', 'bool', [])],
      [info('go', 'bool', [])],
    )
    const main = graph(
      [node('Loop', ['', 'c'], [], { body: { kind: 'graph', value: body } })],
      [info('c', 'bool', [])],
      [],
    )
    const named = { ...main, nodes: [{ ...main.nodes[0], name: 'forever' }] }
    const session = await referenceEngine.createSession(model(named))
    await expect(session.run({ c: scalar('bool', true) })).rejects.toMatchObject({
      code: 'endless-loop',
      place: 'forever',
    })
  })

  it('refuses missing feeds and unknown names', async () => {
    const draft = createDraft()
    draft.input('image', 'float32', [1])
    draft.output(draft.add('Relu', ['image'], {}, { outputs: ['scores'] }), 'float32', [1])
    const session = await referenceEngine.createSession(draft.finish())
    expect(session.inputs).toEqual(['image'])
    await expect(session.run({})).rejects.toThrow(UsageError)
    await expect(session.run({ image: float32([1]), imag: float32([1]) })).rejects.toMatchObject({
      hint: "Did you mean 'image'?",
    })
    await expect(session.run({ image: float32([1]) }, ['score'])).rejects.toMatchObject({ code: 'unknown-output' })
    expect([...toNumbers((await session.run({ image: float32([-1]) }, ['scores'])).scores)]).toEqual([0])
  })
})
