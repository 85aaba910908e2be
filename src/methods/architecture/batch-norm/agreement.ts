/**
 * Shows that what a rewriting changed gives what was there, node by node, each on the values of the model as it was.
 */
import { sampleInputs } from '../../../datasets/inputs.ts'
import { createDraft } from '../../../ir/draft.ts'
import type { Model, Node } from '../../../ir/model.ts'
import { toFloat32Model } from '../../../ir/precision.ts'
import { identical, type Tensor } from '../../../tensor/tensor.ts'
import type { Context } from '../../method.ts'

const EXAMPLES = 2

export interface Beside {
  /** The values that changed nodes make, as they were. */
  readonly before: ReadonlyMap<string, Tensor>
  /** The same values as the changed nodes make them from the inputs that they had. */
  readonly after: ReadonlyMap<string, Tensor>
  /** The further values asked for, of the model as it was. */
  readonly further: Readonly<Record<string, Tensor>>
}

/**
 * Runs both on random inputs in single precision, as one graph: errors of one change do not reach the next.
 * @param further values of `model` to be told as well.
 * @returns undefined where an input of the model is not declared.
 */
export async function runBeside(
  model: Model,
  changed: Model,
  further: readonly string[],
  { engine, seed }: Pick<Context, 'engine' | 'seed'>,
): Promise<Beside | undefined> {
  const { graph, renamed } = besideEachOther(model, changed, further)
  const wide = toFloat32Model(graph)
  const feeds = await sampleInputs(wide, { seed, batch: EXAMPLES })
  if (!feeds) return undefined
  const session = await engine.createSession(wide, { purpose: 'check' })
  try {
    const found = await session.run(feeds)
    return {
      before: new Map([...renamed.keys()].map((name) => [name, found[name]])),
      after: new Map([...renamed].map(([name, other]) => [name, found[other]])),
      further: found,
    }
  } finally {
    await session.close()
  }
}

/** One graph with all of `model`, and beside it the nodes that only `changed` has, fed with the values of `model`. */
function besideEachOther(model: Model, changed: Model, further: readonly string[]) {
  const draft = createDraft(model)
  const old = new Set(model.graph.nodes)
  const known = new Set([
    ...model.graph.nodes.flatMap(({ outputs }) => outputs),
    ...model.graph.inputs.map(({ name }) => name),
  ])
  const producers = new Map(
    changed.graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)),
  )
  const { initializers } = changed.graph
  const live = new Set(changed.graph.inputs.map(({ name }) => name).filter((name) => !initializers.has(name)))
  for (const node of changed.graph.nodes)
    if (node.inputs.some((input) => live.has(input))) for (const output of node.outputs) live.add(output)
  const copies = new Map<string, string>()
  const copy = (node: Node) => {
    const inputs = node.inputs.map(valueOf)
    const outputs = node.outputs.map((output) => output && draft.fresh(output))
    draft.nodes.push({ ...node, name: '', inputs, outputs })
    node.outputs.forEach((output, i) => copies.set(output, outputs[i]))
  }
  // What depends on constants only is another value under the same name; what depends on inputs is the same value.
  const valueOf = (name: string): string => {
    if (name === '' || (live.has(name) && known.has(name))) return name
    if (copies.has(name)) return copies.get(name)!
    const tensor = initializers.get(name)
    const before = model.graph.initializers.get(name)
    if (tensor && before && identical(tensor, before)) return name
    if (tensor) copies.set(name, draft.constant(name, tensor))
    else copy(producers.get(name)!)
    return copies.get(name)!
  }
  const renamed = new Map<string, string>()
  for (const node of changed.graph.nodes) {
    if (old.has(node) || !node.outputs.some((output) => live.has(output))) continue
    if (!node.outputs.some((output) => copies.has(output))) copy(node)
    for (const output of node.outputs) if (known.has(output)) renamed.set(output, copies.get(output)!)
  }
  draft.outputs.length = 0
  for (const name of new Set([...renamed.keys(), ...renamed.values(), ...further])) draft.output(name)
  return { graph: draft.finish(), renamed }
}
