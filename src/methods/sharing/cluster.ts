import type { Random } from '../../tensor/random.ts'

/** Where the centroids start; section 3.2 of Deep Compression. */
export const initializations = ['random', 'density', 'linear'] as const
export type Initialization = (typeof initializations)[number]

export interface ClusterOptions {
  /** Default 'linear'. */
  readonly initialization?: Initialization
  /** Draws the starting points of 'random'. */
  readonly random: Random
  /** How much each value counts, non-negative, as long as `values`; default: all the same. */
  readonly importance?: Float32Array
  /** At most so many rounds of Lloyd's algorithm; default 1,000, which in one axis takes no time. */
  readonly iterations?: number
}

export interface Clusters {
  /** Ascending, distinct; at most `k`, fewer where fewer values differ or a centroid attracted nothing. */
  readonly centroids: Float64Array
  /** The sum of squared distances to the nearest centroid (times importance): what k-means minimizes. */
  readonly error: number
  /** Rounds until nothing moved. */
  readonly iterations: number
}

/**
 * Clusters numbers by Lloyd's k-means, exactly and fast: in one axis a cluster is a run of the sorted values, so a round
 * costs k binary searches and k differences of prefix sums, whatever the number of values. Sorting dominates.
 * Equal input gives equal output. Where at most `k` values differ, they are the centroids, and the error is 0.
 * @param values finite numbers; not changed.
 * @param k the most centroids wanted, at least 1.
 */
export function clusterNumbers(values: Float32Array, k: number, options: ClusterOptions): Clusters {
  if (values.length === 0) return { centroids: new Float64Array(0), error: 0, iterations: 0 }
  const { sorted, importance } = inOrder(values, options.importance)
  const exact = distinct(sorted, k)
  if (exact) return { centroids: exact, error: 0, iterations: 0 }
  let centroids = startingPoints(sorted, k, options)
  const mass = importance ? prefixSums(sorted.length, (i) => importance[i]) : (i: number) => i
  const moment = prefixSums(sorted.length, importance ? (i) => sorted[i] * importance[i] : (i) => sorted[i])
  let edges: Uint32Array = new Uint32Array(0)
  let iterations = 0
  const limit = options.iterations ?? 1000
  while (iterations < limit) {
    iterations++
    const next = runEdges(sorted, centroids)
    if (next.every((edge, i) => edge === edges[i])) break
    edges = next
    const moved = Float64Array.from(centroids)
    for (let c = 0; c < k; c++) {
      const weight = mass(edges[c + 1]) - mass(edges[c])
      // A centroid that attracts nothing stays where it is: a neighbour's move may still leave values to it.
      if (weight > 0) moved[c] = (moment(edges[c + 1]) - moment(edges[c])) / weight
    }
    centroids = moved
  }
  edges = runEdges(sorted, centroids)
  let error = 0
  for (let c = 0; c < k; c++)
    for (let i = edges[c]; i < edges[c + 1]; i++)
      error += (importance ? importance[i] : 1) * (sorted[i] - centroids[c]) ** 2
  const used = centroids.filter((_, c) => edges[c + 1] > edges[c])
  return { centroids: Float64Array.from(new Set(used)), error, iterations }
}

/** The position of the nearest of the ascending `centroids` for each value; the lower one where two are equally near. */
export function nearestCentroids(values: Float32Array, centroids: ArrayLike<number>): Uint16Array {
  const middles = Float64Array.from({ length: centroids.length - 1 }, (_, c) => (centroids[c] + centroids[c + 1]) / 2)
  const codes = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    let low = 0
    let high = middles.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (value > middles[middle]) low = middle + 1
      else high = middle
    }
    codes[i] = low
  }
  return codes
}

function inOrder(values: Float32Array, importance?: Float32Array) {
  if (!importance) return { sorted: Float32Array.from(values).sort(), importance: undefined }
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b] || a - b)
  return {
    sorted: Float32Array.from(order, (i) => values[i]),
    importance: Float32Array.from(order, (i) => importance[i]),
  }
}

/** The different values in ascending order, or undefined when there are more than `most`. */
function distinct(sorted: Float32Array, most: number): Float64Array | undefined {
  const found: number[] = []
  for (let i = 0; i < sorted.length; i = after(sorted, sorted[i])) {
    if (found.length === most) return undefined
    found.push(sorted[i])
  }
  return Float64Array.from(found)
}

/** The first position whose value is greater than `value`. */
function after(sorted: Float32Array, value: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle] > value) high = middle
    else low = middle + 1
  }
  return low
}

function startingPoints(sorted: Float32Array, k: number, options: ClusterOptions): Float64Array {
  const last = sorted.length - 1
  const { initialization = 'linear', random } = options
  if (initialization === 'linear') {
    const step = k > 1 ? (sorted[last] - sorted[0]) / (k - 1) : 0
    return Float64Array.from({ length: k }, (_, c) => (k > 1 ? sorted[0] + c * step : (sorted[0] + sorted[last]) / 2))
  }
  // Equal steps on the cumulative distribution, mapped back: the quantiles (c + 1/2) / k.
  if (initialization === 'density')
    return Float64Array.from({ length: k }, (_, c) => sorted[Math.floor(((c + 0.5) / k) * sorted.length)])
  const chosen = new Set<number>()
  while (chosen.size < k) {
    let value = sorted[random.integer(sorted.length)]
    // A value that is taken hands its turn to the next greater one, so that k different values come together.
    while (chosen.has(value)) value = sorted[after(sorted, value) % sorted.length]
    chosen.add(value)
  }
  return Float64Array.from(chosen).sort()
}

/** Where each centroid's run of the sorted values begins; entry k is their number: [k + 1]. */
function runEdges(sorted: Float32Array, centroids: Float64Array): Uint32Array {
  const edges = new Uint32Array(centroids.length + 1)
  for (let c = 1; c < centroids.length; c++) edges[c] = after(sorted, (centroids[c - 1] + centroids[c]) / 2)
  edges[centroids.length] = sorted.length
  return edges
}

/** Sums over the first `i` terms; kept once a block, so that 25 million values need no second array of 200 MB. */
function prefixSums(count: number, term: (index: number) => number): (i: number) => number {
  const block = 256
  const sums = new Float64Array(Math.floor(count / block) + 1)
  for (let b = 1; b < sums.length; b++) {
    let sum = sums[b - 1]
    for (let i = (b - 1) * block; i < b * block; i++) sum += term(i)
    sums[b] = sum
  }
  return (i) => {
    const b = Math.floor(i / block)
    let sum = sums[b]
    for (let j = b * block; j < i; j++) sum += term(j)
    return sum
  }
}
