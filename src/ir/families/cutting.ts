/** How nodes that have sizes or places written into constants are fitted to inputs of which channels were cut. */
import { integersOf } from '../../tensor/elements.ts'
import { int64 } from '../../tensor/tensor.ts'
import type { Node } from '../model.ts'
import type { CutContext } from '../operator.ts'

/** The size that is left of an axis. */
export function sizeLeft(size: number, kept: readonly number[] | undefined): number {
  return kept?.length ?? size
}

/** The node with other names at some of its inputs. */
export function withInputs(node: Node, replaced: Readonly<Record<number, string>>): Node {
  const inputs = [...node.inputs]
  for (const [index, name] of Object.entries(replaced)) {
    while (inputs.length <= Number(index)) inputs.push('')
    inputs[Number(index)] = name
  }
  return { ...node, inputs }
}

/**
 * A Reshape or Expand with the sizes that are left of its output written into its constant target, input 1. Entries that
 * copy a size or stand for the rest stay where they still say the right thing.
 */
export function withSizes({ node, inputs, outputs, keptInputs, keptOutputs, constant, literal }: CutContext): Node {
  if (keptOutputs[0].every((kept) => kept === undefined)) return node
  const target = integersOf(constant!(1)!)
  const offset = outputs[0].shape.length - target.length
  const sizes = target.map((entry, position) => {
    const axis = position + offset
    const size = sizeLeft(outputs[0].shape[axis], keptOutputs[0][axis])
    const stays = keptOutputs[0][axis] === undefined || entry === -1 || (entry === 1 && node.op === 'Expand')
    const copies = entry === 0 && sizeLeft(inputs[0]!.shape[axis], keptInputs[0]?.[axis]) === size
    return stays || copies ? entry : size
  })
  return withInputs(node, { 1: literal(int64(sizes)) })
}
