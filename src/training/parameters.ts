import { operatorKey, type Model, type Node } from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import { dtypes } from '../tensor/dtype.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'

/**
 * The initializers that training changes where nobody says otherwise, in the order in which the graph reads them:
 * float tensors in the places where operators hold trained parameters (`Operator.parameters`), and biases that are added
 * behind a matrix product or convolution. They are found through Identity, Reshape, Transpose and Cast, behind a mask of
 * zeros and ones (the mask is not trained), and as code books of shared weights (the indices are not trained).
 * Running statistics of batch normalization, scales of quantized activations and other constants are left out.
 */
export function trainableParameters(model: Model): string[] {
  const { nodes, initializers } = model.graph
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)))
  const found = new Set<string>()
  const collect = (value: string) => {
    const name = sourceOf(value, producers, initializers)
    if (name !== undefined) found.add(name)
  }
  for (const node of nodes) {
    if (isQuantizedActivation(node, producers)) continue
    const places = isBatchNorm(node) ? [1, 2] : (operators.get(operatorKey(node))?.parameters ?? [])
    for (const index of places) if (node.inputs[index]) collect(node.inputs[index])
    if (node.op === 'Add' && node.domain === '') for (const value of biasOperands(node, producers)) collect(value)
  }
  return [...found]
}

function isBatchNorm(node: Node): boolean {
  return node.domain === '' && node.op === 'BatchNormalization'
}

/** Whether a node makes numbers of codes that are computed from the input: codes of weights come from constants. */
function isQuantizedActivation({ domain, op, inputs }: Node, producers: ReadonlyMap<string, Node>): boolean {
  if (domain !== '' || op !== 'DequantizeLinear') return false
  const codes = producers.get(inputs[0])
  return codes !== undefined && ['QuantizeLinear', 'DynamicQuantizeLinear', 'Cast'].includes(codes.op)
}

/** The operand of an Add whose other operand is a product with weights, or such a product with scales of its input. */
function biasOperands({ inputs }: Node, producers: ReadonlyMap<string, Node>): string[] {
  const product = (value: string) =>
    ['MatMul', 'Gemm', 'Conv', 'ConvTranspose'].includes(producers.get(value)?.op ?? '')
  const isProduct = (value: string) => {
    const node = producers.get(value)
    const scaled = node?.op === 'Mul' && node.domain === '' && producers.has(node.inputs[1])
    return product(scaled ? node.inputs[0] : value)
  }
  return [
    ...(isProduct(inputs[0]) && !isProduct(inputs[1]) ? [inputs[1]] : []),
    ...(isProduct(inputs[1]) && !isProduct(inputs[0]) ? [inputs[0]] : []),
  ]
}

/** The float initializer that `value` is, or is made from by operators that only rearrange or mask it. */
function sourceOf(
  value: string,
  producers: ReadonlyMap<string, Node>,
  initializers: ReadonlyMap<string, Tensor>,
): string | undefined {
  const tensor = initializers.get(value)
  if (tensor) return dtypes[tensor.dtype].kind === 'float' ? value : undefined
  const node = producers.get(value)
  if (!node || node.domain !== '') return undefined
  switch (node.op) {
    case 'Identity':
    case 'Reshape':
    case 'Transpose':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Flatten':
    case 'Cast':
    case 'Gather':
      return sourceOf(node.inputs[0], producers, initializers)
    case 'Mul': {
      const operand = [0, 1].find((index) => isMask(node.inputs[1 - index], producers, initializers))
      return operand === undefined ? undefined : sourceOf(node.inputs[operand], producers, initializers)
    }
    default:
      return undefined
  }
}

/** Whether a value is a constant, of more than one element, of nothing but zeros and ones. */
function isMask(
  value: string,
  producers: ReadonlyMap<string, Node>,
  initializers: ReadonlyMap<string, Tensor>,
): boolean {
  const tensor = initializers.get(value)
  if (!tensor) {
    const node = producers.get(value)
    return node?.op === 'Cast' && node.domain === '' && isMask(node.inputs[0], producers, initializers)
  }
  const { dtype, data, shape } = tensor
  if (elementCount(shape) < 2) return false
  if (dtype === 'bool') return true
  if (!['float32', 'float64', 'int8', 'uint8', 'int32', 'int64'].includes(dtype)) return false
  // Number() because the elements of int64 are bigints.
  return Array.prototype.every.call(data, (element: number | bigint) => Number(element) === 0 || Number(element) === 1)
}
