/** LASSO by coordinate descent, on second moments. */

/** ½ βᵀ A β − bᵀ β: the squared error of a regression whose inputs have the moments A = E[x xᵀ] and b = E[x y]. */
export interface Quadratic {
  readonly size: number
  /** A, [size, size], positive semidefinite. */
  readonly matrix: Float64Array
  /** b, [size]. */
  readonly linear: Float64Array
}

/** Sweeps over all coordinates after which the descent is left where it is. */
const MOST_SWEEPS = 500

/** What no coordinate moves more than after the last sweep, relative to the largest one. */
const TOLERANCE = 1e-7

/**
 * The β that minimizes ½ βᵀ A β − bᵀ β + λ ‖β‖₁. At the minimum (b − A β)_i = λ sign β_i where β_i is not zero, and at most λ
 * in absolute value elsewhere.
 * @param start where to begin, [size]; the minimum of a λ nearby saves sweeps.
 */
export function lasso({ size, matrix, linear }: Quadratic, lambda: number, start: Float64Array): Float64Array {
  const beta = start.slice()
  // b − A β, kept up to date.
  const residual = linear.slice()
  const move = (i: number, change: number) => {
    for (let j = 0; j < size; j++) residual[j] -= matrix[i * size + j] * change
  }
  for (let i = 0; i < size; i++) if (beta[i] !== 0) move(i, beta[i])
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let [moved, largest] = [0, 0]
    for (let i = 0; i < size; i++) {
      const curvature = matrix[i * (size + 1)]
      const pull = residual[i] + curvature * beta[i]
      const next = curvature > 0 ? (Math.sign(pull) * Math.max(0, Math.abs(pull) - lambda)) / curvature : 0
      const change = next - beta[i]
      if (change !== 0) move(i, change)
      beta[i] = next
      moved = Math.max(moved, Math.abs(change))
      largest = Math.max(largest, Math.abs(next))
    }
    if (moved <= TOLERANCE * largest) break
  }
  return beta
}

/** Steps of the search for the λ at which the wanted number of coordinates vanishes. */
const BISECTIONS = 40

/**
 * The `count` coordinates that vanish first as λ grows from zero, in ascending order. Of those that vanish together the
 * smallest go.
 * @param start the minimum for λ = 0, [size].
 */
export function firstToVanish(problem: Quadratic, count: number, start: Float64Array): number[] {
  const { size, linear } = problem
  const zeros = (beta: Float64Array) => beta.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0)
  // From the largest |b| on all are zero.
  let high = linear.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  let low = 0
  let [few, many]: Float64Array[] = [start, new Float64Array(size)]
  for (let step = 0; step < BISECTIONS && zeros(few) < count && zeros(many) > count; step++) {
    const middle = (low + high) / 2
    const beta = lasso(problem, middle, few)
    if (zeros(beta) <= count) [low, few] = [middle, beta]
    else [high, many] = [middle, beta]
  }
  const rank = (i: number) => (few[i] === 0 ? -1 : many[i] === 0 ? Math.abs(few[i]) : Number.POSITIVE_INFINITY)
  const order = Array.from({ length: size }, (_, i) => i).toSorted((a, b) => rank(a) - rank(b) || a - b)
  return order.slice(0, count).toSorted((a, b) => a - b)
}
