/** Values that depend on constants only, computed when they are asked for: weights behind codes, scales and codebooks. */
import type { Tensor } from '../tensor/tensor.ts'
import { graphIndex } from './graph.ts'
import { isRandom } from './infer.ts'
import { operatorKey, subgraphs, type Model } from './model.ts'
import { operators } from './ops/index.ts'

/** The value of the main graph by that name; undefined where it depends on an input or cannot be computed here. */
export type ConstantValues = (name: string) => Tensor | undefined

/** Each value is computed once; nothing is kept of what only led to others. */
export function constantValues(model: Model): ConstantValues {
  const { graph } = model
  const index = graphIndex(graph)
  const fed = new Set(graph.inputs.map(({ name }) => name))
  const known = new Map<string, Tensor | undefined>()
  const constant = (name: string): Tensor | undefined => {
    if (fed.has(name)) return undefined
    const initializer = graph.initializers.get(name)
    if (initializer) return initializer
    if (!known.has(name)) known.set(name, compute(name))
    return known.get(name)
  }
  const compute = (name: string): Tensor | undefined => {
    const node = index.producer(name)
    const record = node && operators.get(operatorKey(node))
    if (!record?.evaluate || node!.inputs.length === 0 || isRandom(node!) || subgraphs(node!).length > 0)
      return undefined
    const inputs = node!.inputs.map((input) => (input === '' ? undefined : constant(input)))
    if (inputs.some((tensor, i) => !tensor && node!.inputs[i] !== '')) return undefined
    return record.evaluate({ node: node!, inputs })[node!.outputs.indexOf(name)]
  }
  return constant
}
