/**
 * Spearman's rank correlation: that of the ranks, of equal values the mean of theirs.
 * Undefined where all values of one side are equal, or there are fewer than two.
 */
export function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number | undefined {
  const [x, y] = [ranks(a), ranks(b)]
  const mean = (x.length - 1) / 2
  let [product, squaresX, squaresY] = [0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    product += (x[i] - mean) * (y[i] - mean)
    squaresX += (x[i] - mean) ** 2
    squaresY += (y[i] - mean) ** 2
  }
  return squaresX > 0 && squaresY > 0 ? product / Math.sqrt(squaresX * squaresY) : undefined
}

/** Ranks from 0; equal values share the mean of theirs. */
function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a] - values[b])
  const result = new Float64Array(values.length)
  for (let start = 0; start < order.length;) {
    let end = start
    while (end < order.length && values[order[end]] === values[order[start]]) end++
    for (let i = start; i < end; i++) result[order[i]] = (start + end - 1) / 2
    start = end
  }
  return result
}
