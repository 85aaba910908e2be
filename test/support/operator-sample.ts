import { createDraft, toAttribute } from '../../src/ir/draft.ts'
import type { Model, Node } from '../../src/ir/model.ts'
import type { Operator, Sample } from '../../src/ir/operator.ts'
import { operatorKey } from '../../src/ir/model.ts'
import { dtypes } from '../../src/tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../src/tensor/elements.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

/** A record's name as the registry has it. */
export function keyOf(record: Operator): string {
  return operatorKey({ op: record.type, domain: record.domain })
}

/** The node that a sample stands for; its inputs are named i0, i1, ..., its outputs o0, o1, ... */
export function sampleNode(record: Operator, sample: Sample): Node {
  const attributes = Object.entries(sample.attributes ?? {}).map(([name, value]) => [name, toAttribute(value)])
  return {
    name: 'sample',
    op: record.type,
    domain: record.domain,
    inputs: sample.inputs.map((input, index) => (input ? `i${index}` : '')),
    outputs: Array.from({ length: sample.outputs ?? 1 }, (_, index) => `o${index}`),
    attributes: Object.fromEntries(attributes),
  }
}

/** Whether the gradient of input `index` is to be checked. */
export function isDifferentiated(record: Operator, sample: Sample, index: number): boolean {
  const input = sample.inputs[index]
  if (!record.gradient || !input || dtypes[input.dtype].kind !== 'float') return false
  return sample.gradientOf ? sample.gradientOf.includes(index) : true
}

/**
 * A model of one node. Inputs that `isFed` names become graph inputs, the others initializers.
 * Every output of the node is a graph output.
 */
export function sampleModel(record: Operator, sample: Sample, isFed: (index: number) => boolean): Model {
  const node = sampleNode(record, sample)
  const draft = createDraft()
  if (record.domain !== '') draft.opsets.set(record.domain, 1)
  for (const [index, input] of sample.inputs.entries()) {
    if (!input) continue
    if (isFed(index)) draft.input(`i${index}`, input.dtype, input.shape)
    else draft.initializers.set(`i${index}`, input)
  }
  draft.nodes.push(node)
  const { inputs } = sample
  const types = record.infer({ node, inputs, constant: (index) => inputs[index] })
  for (const [index, name] of node.outputs.entries()) draft.output(name, types[index]?.dtype, types[index]?.shape)
  return draft.finish({ keepUnused: true })
}

/** The sample with its float inputs in double precision. */
export function inDouble(sample: Sample): Sample {
  return { ...sample, inputs: sample.inputs.map((input) => input && toDouble(input)) }
}

function toDouble(tensor: Tensor): Tensor {
  return dtypes[tensor.dtype].kind === 'float' ? fromNumbers('float64', tensor.shape, toNumbers(tensor)) : tensor
}
