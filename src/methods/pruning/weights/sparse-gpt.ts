import { z } from 'zod'
import { factorOf, hessianOptions, inverseOf } from '../../row-hessians.ts'
import { defineWeightPruner } from './family/family.ts'
import { byGroup, groupOf, selectByRows, type RowOptions, type RowsToPrune } from './family/row-selection.ts'

/**
 * Prunes column after column of a layer's matrix, each weight once, and lets the columns behind make up for what goes
 * (algorithm 1). All rows use the same inverse Hessians of the columns not yet done: the rows of the Cholesky factor U of
 * H⁻¹ = Uᵀ U (section 3.3). Which weights of a block of columns go is decided when the block begins, by
 * w² / [H⁻¹]_cc = w² / U_cc², so that a row may lose more than others; with N:M when the first of each N is reached.
 *
 * Layers are pruned in order, each for the inputs that the pruned layers before it give. A layer costs K³ + rows · K² / 2
 * multiplications.
 *
 * Differs from the paper: every block removes its share to the weight, where the paper's removes what is at most a
 * quantile. Weights whose inputs are always zero are kept, and go first, by the damping.
 */
export const sparseGpt = defineWeightPruner({
  name: 'sparse-gpt',
  summary: 'Prunes layers column by column in one pass, the columns behind making up for what was removed before.',
  paper: {
    title: 'SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot',
    authors: 'Frantar, Alistarh',
    venue: 'ICML',
    year: 2023,
    arxiv: '2301.00774',
  },
  needs: ['calibration-data'],
  options: {
    ...hessianOptions,
    block: z
      .number()
      .int()
      .min(1)
      .max(4096)
      .default(128)
      .describe('columns whose weights to remove are chosen at once'),
  },
  patterns: ['n-of-m'],
  select: selectByRows(prune, { sequential: true }),
})

async function prune(layer: RowsToPrune<RowOptions & { block: number }>): Promise<Float64Array[]> {
  const { rows, values, remove, pattern, options, pace } = layer
  const { length } = rows
  const factors = byGroup(layer, (hessian) => upperFactor(hessian, length, layer.name))
  const work = values.map((row) => row.slice())
  const goes = values.map((row) => row.map((value) => (value === 0 ? 1 : 0)))
  let removed = 0
  for (let start = 0; start < length; start += options.block) {
    const end = Math.min(length, start + options.block)
    const score = (r: number, k: number) =>
      goes[r][k] === 1 ? 0 : (work[r][k] / factors(groupOf(rows, r))[k * length + k]) ** 2
    if (!pattern) removed += choose(goes, score, start, end, Math.round((remove * end) / length) - removed)
    for (const [r, row] of work.entries()) {
      const factor = factors(groupOf(rows, r))
      for (let k = start; k < end; k++) {
        if (pattern) chooseUnit(pattern, goes[r], (place) => score(r, place), r, k)
        if (goes[r][k] === 0 || row[k] === 0) continue
        const error = row[k] / factor[k * length + k]
        for (let j = k + 1; j < length; j++) row[j] -= error * factor[k * length + j]
        row[k] = 0
      }
      await pace(((end - start) * (length - start)) / 2)
    }
  }
  return work
}

/** U, upper triangular, with H⁻¹ = Uᵀ U: the transposed Cholesky factor. */
function upperFactor(hessian: Float64Array, size: number, place: string): Float64Array {
  const lower = factorOf(inverseOf(hessian, size, place), size, place)
  return lower.map((_, at) => lower[(at % size) * size + Math.floor(at / size)])
}

type Score = (row: number, column: number) => number

/** Marks the `wanted` weights of a block with the smallest scores, and all that are marked already; returns how many. */
function choose(goes: readonly Float64Array[], score: Score, start: number, end: number, wanted: number): number {
  const width = end - start
  const scores = Float64Array.from({ length: goes.length * width }, (_, i) =>
    score(Math.floor(i / width), start + (i % width)),
  )
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[a] - scores[b] || a - b)
  for (const i of order.subarray(0, Math.max(0, wanted))) goes[Math.floor(i / width)][start + (i % width)] = 1
  return goes.reduce((sum, row) => sum + row.subarray(start, end).reduce((own, mark) => own + mark, 0), 0)
}

/** When column k is the first of its set, marks those of the set with the smallest scores. */
function chooseUnit(
  { of, remove }: NonNullable<RowsToPrune['pattern']>,
  goes: Float64Array,
  score: (place: number) => number,
  row: number,
  k: number,
): void {
  const unit = of[row][k]
  if (of[row].indexOf(unit) < k) return
  const members = [...of[row].keys()].filter((place) => of[row][place] === unit)
  const order = members.toSorted((a, b) => score(a) - score(b) || a - b)
  for (const place of order.slice(0, remove[unit])) goes[place] = 1
}
