/** How nodes that have sizes or places written into constants are fitted to inputs of which channels were cut. */
import { UnsupportedError } from '../../errors.ts'
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
 * A Reshape or Expand with the sizes of its output that are left as input `target`; sizes that the model leaves open are
 * copied from the input, or taken from what the others leave.
 * @throws UnsupportedError when more than one size could only be told at run time.
 */
export function withSizes(context: CutContext, target: number): Node {
  const { node, outputs, keptOutputs, openShapes, literal } = context
  if (keptOutputs[0].every((kept) => kept === undefined)) return node
  const sizes = outputs[0].shape.map((size, axis) => {
    const open = openShapes.output?.[axis]
    if (typeof open === 'number') return sizeLeft(size, keptOutputs[0][axis])
    if (node.op === 'Expand') return 1
    return open !== null && open !== undefined && openShapes.input?.[axis] === open ? 0 : -1
  })
  if (sizes.filter((size) => size === -1).length > 1)
    throw new UnsupportedError('cut-open-sizes', `${node.op}: more than one of its sizes is known only at run time`, {
      place: node.name || node.outputs[0],
      hint: 'Give the open sizes of the inputs numbers first.',
    })
  return withInputs(node, { [target]: literal(int64(sizes)) })
}
