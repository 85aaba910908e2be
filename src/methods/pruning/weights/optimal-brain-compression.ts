import { refitLayer } from '../../refit.ts'
import { hessianOptions, inverseOf } from '../../row-hessians.ts'
import { defineWeightPruner } from './family/family.ts'
import { byGroup, groupOf, selectByRows, type RowsToPrune } from './family/row-selection.ts'
import { createSurgeon, type Removal } from './family/surgeon.ts'

/**
 * Removes one weight after the other by Optimal Brain Surgeon, exactly: after each, the inverse Hessian E[x xᵀ] of the
 * layer's squared output error loses its row and column (algorithm 1, ExactOBS). Each row is first followed to its
 * end; then rows go on as far as their next loss is the smallest of the layer (algorithm 2). With N:M a weight is only
 * removed while its set may lose one.
 *
 * What the eliminations leave is the least squares solution on the weights that stay (equation 6, group OBS), so that the
 * order is all that is kept of them, and the values are computed from it. A row of K weights costs K³ / 6
 * multiplications: the 800 inputs and 500 outputs of LeNet-5's first dense layer take a minute or so of one core,
 * 2,304 inputs and 256 outputs half an hour.
 *
 * Differs from the paper: weights whose inputs are always zero are kept, and removed first, by the damping.
 */
export const optimalBrainCompression = defineWeightPruner({
  name: 'optimal-brain-compression',
  summary:
    'Removes single weights in the order that costs the output of a layer least, with exact updates of the rest.',
  paper: {
    title: 'Optimal Brain Compression: A Framework for Accurate Post-Training Quantization and Pruning',
    authors: 'Frantar, Singh, Alistarh',
    venue: 'NeurIPS',
    year: 2022,
    arxiv: '2208.11580',
  },
  needs: ['calibration-data'],
  options: hessianOptions,
  patterns: ['n-of-m'],
  select: selectByRows(async (layer) => {
    const { rows, values, moments, options, context } = layer
    const traces = await tracesOf(layer)
    const removed = layer.pattern ? traces.map(({ length }) => length) : lengthsOfTraces(traces, layer.remove)
    const kept = values.map((row, r) => {
      const gone = new Set(traces[r].slice(0, removed[r]).map(({ place }) => place))
      return [...row.keys()].filter((k) => row[k] !== 0 && !gone.has(k))
    })
    return refitLayer({ name: layer.name, rows, moments, before: values, kept }, options.damping, false, context)
  }),
})

/** The removals of each row, in order, to the last; with N:M as many as the pattern asks for. */
async function tracesOf(layer: RowsToPrune): Promise<Removal[][]> {
  const { name, rows, values, pattern, pace } = layer
  const { length } = rows
  const inverses = byGroup(layer, (hessian) => inverseOf(hessian, length, name))
  const left = pattern?.remove.slice()
  const traces: Removal[][] = []
  for (const [r, row] of values.entries()) {
    const units = pattern?.of[r]
    const surgeon = createSurgeon(inverses(groupOf(rows, r)).slice(), row, name)
    const trace: Removal[] = []
    for (;;) {
      const removal = surgeon.next(left && units && ((place) => left[units[place]] > 0))
      if (!removal) break
      if (left && units) left[units[removal.place]]--
      trace.push(removal)
      await pace(surgeon.left ** 2 / 2)
    }
    traces.push(trace)
  }
  return traces
}

/**
 * How much of each trace is followed when always the row goes on whose next loss is smallest: the order of the largest loss
 * up to each removal.
 */
export function lengthsOfTraces(traces: readonly (readonly Removal[])[], remove: number): number[] {
  const next = traces.flatMap((trace, row) => {
    let worst = 0
    return trace.map(({ loss }) => ({ row, worst: (worst = Math.max(worst, loss)) }))
  })
  const lengths = traces.map(() => 0)
  for (const { row } of next.sort((a, b) => a.worst - b.worst || a.row - b.row).slice(0, remove)) lengths[row]++
  return lengths
}
