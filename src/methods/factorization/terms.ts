/** Matrices as sums of outer products of codes: W ≈ Σ_k d_k u_k v_kᵀ = U D V. */
import { innerProduct, times, transposedTimes } from '../../tensor/linalg.ts'
import type { Random } from '../../tensor/random.ts'

/** One term d u vᵀ. */
export interface Term {
  /** Codes of the rows, [rows]. */
  readonly u: Float64Array
  /** Codes of the columns, [columns]. */
  readonly v: Float64Array
  /** d. */
  readonly scale: number
}

/** What a term is to fit. */
export interface TermTask {
  readonly rows: number
  readonly columns: number
  /** What the other terms leave of the matrix, [rows, columns]. */
  readonly residual: Float64Array
  /** The term as it was before: the new one must fit no worse. Absent when it is new. */
  readonly start?: Term
  /** H, [columns, columns], where an error E counts tr(E H Eᵀ) instead of the sum of its squares. */
  readonly hessian?: Float64Array
  /** Random starts to try besides the one that is computed. */
  readonly starts: number
  readonly random: Random
}

/** Codes for the direction of a vector s: those for which (codes · s)² / |codes|² is greatest. Never all zero. */
export type Encode = (values: Float64Array) => Float64Array

/** An alphabet of codes. */
export interface Alphabet {
  readonly codes: readonly number[]
  readonly encode: Encode
}

/** Up to so many patterns of the shorter side are all tried, which gives the best term there is. */
const FEW_PATTERNS = 64

/** Rounds of the alternation; each improves on the one before, and a handful is usual. */
const MOST_ROUNDS = 100

/** Steps of the power method that finds the computed start. */
const POWER_STEPS = 8

/**
 * The term that takes most from the sum of squares of the residual, (uᵀRv)² / (|u|² |v|²): u for v and v for u in turn,
 * from the direction that the matrix stretches most and from random ones, or from all patterns where these are few.
 */
export function alternatingTerm(task: TermTask, { codes, encode }: Alphabet): Term {
  const { rows, columns, residual, start } = task
  let best: { term: Term; gain: number } | undefined
  for (let v of start ? [start.v] : startingCodes(task, codes, encode)) {
    let found: typeof best
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const u = encode(times(residual, rows, v))
      const image = transposedTimes(residual, columns, u)
      v = encode(image)
      const product = innerProduct(v, image)
      const squares = innerProduct(u, u) * innerProduct(v, v)
      const gain = product ** 2 / squares
      if (found && gain <= found.gain) break
      found = { term: { u, v, scale: product / squares }, gain }
    }
    if (!best || found!.gain > best.gain) best = found
  }
  return best!.term
}

/** Where the alternation starts: codes of the columns. */
export function startingCodes(task: TermTask, codes: readonly number[], encode: Encode): Float64Array[] {
  const { rows, columns, residual, starts, random } = task
  const shorter = Math.min(rows, columns)
  if (codes.length ** shorter <= 2 * FEW_PATTERNS) {
    const patterns = patternsOf(codes, shorter)
    return columns === shorter ? patterns : patterns.map((u) => encode(transposedTimes(residual, columns, u)))
  }
  const drawn = Array.from({ length: starts }, () => Float64Array.from({ length: columns }, () => random.normal()))
  return [strongestDirection(task), ...drawn].map(encode)
}

/** The patterns of codes whose first code that is not zero is positive: the others are their negatives. */
function patternsOf(codes: readonly number[], length: number): Float64Array[] {
  return Array.from({ length: codes.length ** length }, (_, number) => {
    let rest = number
    return Float64Array.from({ length }, () => {
      const code = codes[rest % codes.length]
      rest = Math.floor(rest / codes.length)
      return code
    })
  }).filter((pattern) => (pattern.find((code) => code !== 0) ?? 0) > 0)
}

/** The direction that the matrix stretches most, from the row with the largest norm by the power method. */
function strongestDirection({ rows, columns, residual }: TermTask): Float64Array {
  let [strongest, most] = [0, -1]
  for (let r = 0; r < rows; r++) {
    let squares = 0
    for (let at = r * columns; at < (r + 1) * columns; at++) squares += residual[at] * residual[at]
    if (squares > most) [strongest, most] = [r, squares]
  }
  let direction = residual.slice(strongest * columns, (strongest + 1) * columns)
  for (let step = 0; step < POWER_STEPS; step++) {
    const next = transposedTimes(residual, columns, times(residual, rows, direction))
    const norm = Math.sqrt(innerProduct(next, next))
    if (!(norm > 0)) break
    direction = next.map((value) => value / norm)
  }
  return direction
}

/** Adds `share` · d u vᵀ to a matrix, in place. */
export function addTerm(matrix: Float64Array, { u, v, scale }: Term, share: 1 | -1): void {
  for (let i = 0; i < u.length; i++) {
    const factor = share * scale * u[i]
    if (factor !== 0) for (let j = 0; j < v.length; j++) matrix[i * v.length + j] += factor * v[j]
  }
}

export interface TermsTask extends Omit<TermTask, 'residual' | 'start'> {
  /** W, [rows, columns]. */
  readonly matrix: Float64Array
  /** The most terms. */
  readonly rank: number
  /** How often all terms are gone over again, each fitted to what the others leave. */
  readonly passes: number
  readonly fit: (task: TermTask) => Term
  /** To be called with the multiplications done, now and then. */
  readonly pace: (multiplications: number) => Promise<void>
}

/** Below this share of the matrix a residual is rounding. */
const NOTHING = 1e-12

/**
 * Greedily one term after the other, each fitted to what those before it leave, then `passes` times each to what all others
 * leave. More terms, and more passes, never fit worse. It ends early when nothing is left; one term there is always.
 */
export async function fitTerms(task: TermsTask): Promise<Term[]> {
  const { matrix, rank, passes, fit, pace, rows, columns } = task
  const residual = matrix.slice()
  const smallest = NOTHING * Math.sqrt(innerProduct(matrix, matrix))
  const terms: Term[] = []
  const work = 20 * (task.starts + 1) * rows * columns
  while (terms.length < rank && (terms.length === 0 || Math.sqrt(innerProduct(residual, residual)) > smallest)) {
    const term = fit({ ...task, residual })
    terms.push(term)
    addTerm(residual, term, -1)
    await pace(work)
  }
  for (let pass = 0; pass < passes; pass++)
    for (const [k, start] of terms.entries()) {
      addTerm(residual, start, 1)
      terms[k] = fit({ ...task, residual, start })
      addTerm(residual, terms[k], -1)
      await pace(6 * rows * columns)
    }
  return terms
}
