/** Several training steps in one run: a Loop with the step as its body. */
import { ESPALIER_DOMAIN, type Graph, type Model, type Node, type ValueInfo } from '../ir/model.ts'
import { int64, type Tensor } from '../tensor/tensor.ts'
import type { TrainingStep } from './step.ts'

/** Name of the graph input that says how many steps a run takes: int64, without axes. */
export const STEPS_INPUT = 'espalier.steps'

/**
 * A model that takes `espalier.steps` training steps in one run. Parameters and state are carried by the Loop, so they
 * are copied out once a run instead of once a step; all other inputs of the step get a leading axis, one entry a step.
 * Inputs and outputs keep the step's names; the loss and the number of right answers become vectors.
 */
export function loopStep({ model, state, inputs, outputs }: TrainingStep): Model {
  const { graph } = model
  const typed = new Map(graph.inputs.map((input) => [input.name, input]))
  const stacked = [
    inputs.images,
    inputs.labels,
    inputs.learningRate,
    ...(inputs.step === undefined ? [] : [inputs.step]),
    ...(inputs.teacher === undefined ? [] : [inputs.teacher]),
    ...inputs.random.map(({ input }) => input),
  ]
  const names = new Set<string>([...stacked, ...state.flatMap(({ input, output }) => [input, output])])
  names.add(outputs.loss).add(outputs.correct)
  const rename = (name: string) => (names.has(name) ? inner(name) : name)

  const iteration = 'espalier.iteration'
  const goOn = 'espalier.continue'
  const body: Graph = {
    name: 'step',
    nodes: [
      node('Identity', [goOn], [inner(goOn)]),
      ...stacked.map((name) => node('Gather', [name, iteration], [inner(name)], { axis: { kind: 'int', value: 0 } })),
      ...graph.nodes.map((one) => ({ ...one, inputs: one.inputs.map(rename), outputs: one.outputs.map(rename) })),
    ],
    inputs: [
      { name: iteration, type: { dtype: 'int64', shape: [] } },
      { name: goOn, type: { dtype: 'bool', shape: [] } },
      ...state.map(({ input }) => ({ ...typed.get(input)!, name: inner(input) })),
    ],
    outputs: [
      { name: inner(goOn), type: { dtype: 'bool', shape: [] } },
      ...state.map(({ input, output }) => ({ ...typed.get(input)!, name: inner(output) })),
      ...[outputs.loss, outputs.correct].map((name): ValueInfo => scalarInfo(inner(name))),
    ],
    initializers: new Map(),
    values: [],
  }
  const results = [...state.map(({ output }) => output), outputs.loss, outputs.correct]
  return {
    ...model,
    graph: {
      name: 'training',
      nodes: [
        node('Loop', [STEPS_INPUT, '', ...state.map(({ input }) => input)], results, {
          body: { kind: 'graph', value: body },
        }),
      ],
      inputs: [
        { name: STEPS_INPUT, type: { dtype: 'int64', shape: [] } },
        ...graph.inputs.map((input) => (stacked.includes(input.name) ? stack(input) : input)),
      ],
      outputs: [
        ...state.map(({ input, output }) => ({ ...typed.get(input)!, name: output })),
        ...[outputs.loss, outputs.correct].map((name): ValueInfo => stack(scalarInfo(name))),
      ],
      initializers: graph.initializers,
      values: [],
    },
  }
}

/** The name in the body of what has the name `name` outside. */
function inner(name: string): string {
  return `${name}/body`
}

function node(op: string, inputs: string[], outputs: string[], attributes: Node['attributes'] = {}): Node {
  return { name: `${ESPALIER_DOMAIN}/${outputs[0]}`, op, domain: '', inputs, outputs, attributes }
}

function scalarInfo(name: string): ValueInfo {
  return { name, type: { dtype: 'float32', shape: [] } }
}

function stack(value: ValueInfo): ValueInfo {
  return { ...value, type: { dtype: value.type!.dtype, shape: ['steps', ...(value.type!.shape ?? [])] } }
}

/** The feed of the number of steps. */
export function stepsFeed(count: number): Tensor<'int64'> {
  return int64([count], [])
}
