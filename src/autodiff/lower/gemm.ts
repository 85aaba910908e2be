import { readsOf } from '../../ir/inline.ts'
import { floatAttribute, intAttribute, operatorKey, type Model, type Node } from '../../ir/model.ts'
import { elementCount } from '../../tensor/tensor.ts'

/**
 * Lets a Gemm add what is added to its result: a * b + m * c, with a scalar constant m, is Gemm(a, b, c, beta = m).
 * This is the momentum update of a linear layer, and saves two passes over tensors as large as its weight.
 * Only a c of the result's own shape is taken; the gradient must have no other reader.
 */
export function foldIntoGemm(model: Model, shape: (value: string) => readonly unknown[] | undefined): Model {
  const { nodes, initializers, outputs } = model.graph
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const readers = new Map<string, number>()
  for (const { name } of outputs) readers.set(name, 1)
  for (const node of nodes) for (const input of readsOf(node)) readers.set(input, (readers.get(input) ?? 0) + 1)

  const replaced = new Map<Node, Node | undefined>()
  for (const sum of nodes) {
    if (operatorKey(sum) !== 'Add') continue
    for (const [product, addend] of [sum.inputs, sum.inputs.toReversed()]) {
      const gemm = producers.get(product)
      const scaled = producers.get(addend)
      if (!gemm || operatorKey(gemm) !== 'Gemm' || gemm.inputs[2] || readers.get(product) !== 1) continue
      if (!scaled || operatorKey(scaled) !== 'Mul' || readers.get(addend) !== 1 || replaced.has(gemm)) continue
      const factor = scaled.inputs.find((input) => isScalar(input))
      const value = scaled.inputs.find((input) => input !== factor)
      if (factor === undefined || value === undefined || !sameShape(value, sum.outputs[0])) continue
      const beta = Number(initializers.get(factor)!.data[0])
      replaced.set(gemm, undefined).set(scaled, undefined)
      replaced.set(sum, {
        ...gemm,
        inputs: [gemm.inputs[0], gemm.inputs[1], value],
        outputs: sum.outputs,
        attributes: {
          transA: { kind: 'int', value: intAttribute(gemm, 'transA', 0) },
          transB: { kind: 'int', value: intAttribute(gemm, 'transB', 0) },
          alpha: { kind: 'float', value: floatAttribute(gemm, 'alpha', 1) },
          beta: { kind: 'float', value: beta },
        },
      })
      break
    }
  }
  if (replaced.size === 0) return model
  const kept = nodes.flatMap((node) => (replaced.has(node) ? (replaced.get(node) ?? []) : [node]))
  return { ...model, graph: { ...model.graph, nodes: kept } }

  function isScalar(name: string): boolean {
    const tensor = initializers.get(name)
    return tensor?.dtype === 'float32' && elementCount(tensor.shape) === 1
  }

  function sameShape(a: string, b: string): boolean {
    const [left, right] = [shape(a), shape(b)]
    return left !== undefined && right !== undefined && left.join() === right.join()
  }
}
