/** Biases that a method may rewrite together with the weights of their layer. */
import { graphIndex } from '../ir/graph.ts'
import { floatAttribute, type Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { dtypes } from '../tensor/dtype.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import type { WeightRows } from './weight-rows.ts'

/**
 * The biases that can be coded: float vectors of layers of the main graph, stored as initializers that nothing else
 * reads and nobody can feed.
 */
export function ownBiases(model: Model): ReadonlyMap<string, Tensor> {
  const index = graphIndex(model.graph)
  const fed = new Set(model.graph.inputs.map(({ name }) => name))
  const found = new Map<string, Tensor>()
  for (const { bias } of layers(model)) {
    const tensor = bias === undefined ? undefined : model.graph.initializers.get(bias)
    if (!tensor || dtypes[tensor.dtype].kind !== 'float' || dtypes[tensor.dtype].bits < 16) continue
    if (fed.has(bias!) || index.isOutput(bias!) || index.consumers(bias!).length !== 1) continue
    found.set(bias!, tensor)
  }
  return found
}

/** A bias with one element for each row of its layer. */
export interface RowBias {
  readonly name: string
  readonly tensor: Tensor
}

/**
 * The one among the model's own biases that is added as it is, an element a row, to what the rows make, and to that of
 * this layer alone: what changes of the weights do to the mean of the output can be put into it.
 * @param own what `ownBiases` gives for the model.
 */
export function biasOfRows(
  model: Model,
  { node, weight, bias }: Layer,
  rows: WeightRows,
  own: ReadonlyMap<string, Tensor>,
): RowBias | undefined {
  const tensor = bias === undefined ? undefined : own.get(bias)
  if (!tensor || !rows.whole || elementCount(tensor.shape) !== rows.count) return undefined
  if (layers(model).filter((other) => other.weight === weight).length > 1) return undefined
  const scaled = node.op === 'Gemm' && (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1)
  return scaled ? undefined : { name: bias!, tensor }
}
