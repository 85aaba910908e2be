/** The channel rules of operators that pick places along an axis: Slice, Pad, Gather, and what becomes of them in a cut. */
import { int64 } from '../../tensor/tensor.ts'
import type { Node } from '../model.ts'
import type { ChannelTie, CutContext } from '../operator.ts'

/** Where each place of axis `axis` of output 0 comes from along axis `from` of input 0; -1 where it is made up. */
export interface Picked {
  readonly from: number
  readonly axis: number
  /** The size of the axis of the input. */
  readonly size: number
  readonly sources: readonly number[]
}

/** Ties each place to the one that it comes from; places that nobody picks, or that are made up, can be cut by themselves. */
export function pickedTies({ from, axis, size, sources }: Picked): ChannelTie[] {
  const ties: ChannelTie[] = []
  for (let start = 0; start < sources.length;) {
    let end = start + 1
    while (end < sources.length && sources[end] === (sources[start] < 0 ? -1 : sources[end - 1] + 1)) end++
    const output = { side: 'output', index: 0, axis, offset: start } as const
    const input = { side: 'input', index: 0, axis: from, offset: sources[start] } as const
    ties.push({ ports: sources[start] < 0 ? [output] : [input, output], count: end - start })
    start = end
  }
  const picked = new Set(sources)
  for (let place = 0; place < size; place++)
    if (!picked.has(place)) ties.push({ ports: [{ side: 'input', index: 0, axis: from, offset: place }], count: 1 })
  return ties
}

/** The sources of what is left of the output, counted in what is left of the input. */
export function sourcesLeft({ keptInputs, keptOutputs }: CutContext, { from, axis, sources }: Picked): number[] {
  const input = keptInputs[0]?.[from]
  const position = input && new Map(input.map((place, index) => [place, index]))
  const output = keptOutputs[0][axis]
  const left = output ? output.map((place) => sources[place]) : [...sources]
  return position ? left.map((source) => (source < 0 ? -1 : position.get(source)!)) : left
}

/** Start and step of sources that are evenly spaced; undefined where they are not. */
export function spacing(sources: readonly number[]): { readonly start: number; readonly step: number } | undefined {
  const [start = 0] = sources
  const step = sources.length > 1 ? sources[1] - start : 1
  return step !== 0 && sources.every((source, i) => source === start + i * step) ? { start, step } : undefined
}

/** A Gather in the place of `node` that reads `value` at the sources along an axis. */
export function gatherInstead({ node, literal }: CutContext, value: string, axis: number, sources: number[]): Node {
  return {
    ...node,
    op: 'Gather',
    domain: '',
    inputs: [value, literal(int64(sources))],
    attributes: { axis: { kind: 'int', value: axis } },
  }
}
