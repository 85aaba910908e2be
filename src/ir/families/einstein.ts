/** Einstein's summation: the equation of Einsum, one label an axis. */
import { stringAttribute, type Dim, type Node } from '../model.ts'
import { windowError } from '../windows.ts'

export interface Equation {
  /** One list of labels an operand; an axis under an ellipsis has a label such as '.0', counted from the last. */
  readonly operands: readonly (readonly string[])[]
  readonly result: readonly string[]
}

/**
 * Reads the attribute equation. Without an arrow the result has the ellipsis and then, in alphabetical order, the labels
 * that appear once.
 * @throws ModelError when it does not fit the operands.
 */
export function readEquation(node: Node, ranks: readonly number[]): Equation {
  const text = stringAttribute(node, 'equation', '').replaceAll(/\s/g, '')
  const [left, right, ...more] = text.split('->')
  const terms = left.split(',')
  if (more.length > 0 || terms.length !== ranks.length || !/^[A-Za-z.,]*$/.test(left + (right ?? '')))
    throw windowError(node, `the equation '${text}' does not fit ${ranks.length} operands`)
  const operands = terms.map((term, i) => labels(node, term, ranks[i]))
  const ellipsis = operands.flat().filter((label) => label.startsWith('.'))
  const widest = Math.max(0, ...ellipsis.map((label) => Number(label.slice(1)) + 1))
  if (right !== undefined) {
    const named = right.replace('...', '').length
    const result = labels(node, right, named + (right.includes('...') ? widest : 0))
    const unknown = result.find((label) => !operands.flat().includes(label))
    if (unknown !== undefined || new Set(result).size !== result.length)
      throw windowError(node, `the equation '${text}' has a result that its operands do not give`)
    return { operands, result }
  }
  const counts = new Map<string, number>()
  for (const label of operands.flat()) counts.set(label, (counts.get(label) ?? 0) + 1)
  const single = [...counts].flatMap(([label, count]) => (count === 1 && !label.startsWith('.') ? [label] : []))
  return { operands, result: [...ellipsisLabels(widest), ...single.sort()] }
}

function labels(node: Node, term: string, rank: number): string[] {
  const [before, after, ...more] = term.split('...')
  const named = before.length + (after?.length ?? 0)
  const hidden = after === undefined ? 0 : rank - named
  if (more.length > 0 || term.replace('...', '').includes('.') || hidden < 0 || named + hidden !== rank)
    throw windowError(node, `the term '${term}' does not fit ${rank} axes`)
  return [...before, ...ellipsisLabels(hidden), ...(after ?? '')]
}

function ellipsisLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `.${count - 1 - i}`)
}

/** The size of each label; a size of 1 gives way to others. @throws ModelError when two differ. */
export function labelSizes<D extends Dim>(
  node: Node,
  { operands }: Equation,
  shapes: readonly (readonly D[])[],
): Map<string, D> {
  const sizes = new Map<string, D>()
  operands.forEach((list, operand) =>
    list.forEach((label, axis) => {
      const size = shapes[operand][axis]
      const known = sizes.get(label)
      const fits = known === size || size === 1 || typeof size !== 'number' || typeof known !== 'number'
      if (known === undefined || known === 1) sizes.set(label, size)
      else if (!fits) throw windowError(node, `the label ${label} stands for ${known} and for ${size}`)
      else if (typeof known !== 'number' && size !== 1 && size !== known)
        sizes.set(label, (typeof size === 'number' ? size : null) as D)
    }),
  )
  return sizes
}
