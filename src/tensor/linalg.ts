/**
 * Linear algebra on dense matrices of 64-bit floats, [size, size] where nothing else is said, row-major. Only additions, multiplications, divisions
 * and square roots in a fixed order: the same on every machine.
 */

/**
 * The Cholesky factor of a symmetric matrix: the lower triangular L with L Lᵀ = A, zeros above the diagonal. Only the
 * lower triangle of `matrix` is read. size³ / 6 multiplications.
 * @returns undefined when the matrix is not positive definite, or so nearly singular that rounding hides it.
 */
export function cholesky(matrix: Float64Array, size: number): Float64Array | undefined {
  const factor = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    const row = i * size
    for (let j = 0; j < i; j++)
      factor[row + j] = (matrix[row + j] - dot(factor, row, factor, j * size, j)) / factor[j * size + j]
    const pivot = matrix[row + i] - dot(factor, row, factor, row, i)
    // Written so that what is not a number ends here, too; below this share of the diagonal a pivot is all rounding.
    if (!(pivot > matrix[row + i] * size * Number.EPSILON && pivot < Infinity)) return undefined
    factor[row + i] = Math.sqrt(pivot)
  }
  return factor
}

/** The solution x of L Lᵀ x = right, where `factor` is the L of `cholesky`. */
export function solveCholesky(factor: Float64Array, size: number, right: Float64Array): Float64Array {
  const x = right.slice()
  for (let i = 0; i < size; i++) {
    let rest = x[i]
    for (let k = 0; k < i; k++) rest -= factor[i * size + k] * x[k]
    x[i] = rest / factor[i * size + i]
  }
  for (let i = size - 1; i >= 0; i--) {
    const value = (x[i] /= factor[i * size + i])
    if (value !== 0) for (let k = 0; k < i; k++) x[k] -= factor[i * size + k] * value
  }
  return x
}

/** The inverse of L Lᵀ, symmetric to the last bit, where `factor` is the L of `cholesky`. size³ / 3 multiplications. */
export function invertCholesky(factor: Float64Array, size: number): Float64Array {
  const triangle = invertTriangle(factor, size)
  const inverse = new Float64Array(size * size)
  for (let k = 0; k < size; k++)
    for (let i = 0; i <= k; i++) {
      const value = triangle[k * size + i]
      if (value !== 0) for (let j = 0; j <= i; j++) inverse[i * size + j] += value * triangle[k * size + j]
    }
  for (let i = 0; i < size; i++) for (let j = 0; j < i; j++) inverse[j * size + i] = inverse[i * size + j]
  return inverse
}

/**
 * The inverse of a symmetric positive definite matrix.
 * @returns undefined where `cholesky` gives none.
 */
export function invertPositive(matrix: Float64Array, size: number): Float64Array | undefined {
  const factor = cholesky(matrix, size)
  return factor && invertCholesky(factor, size)
}

/** The rows and columns of a matrix that `places` name, in that order: [places, places]. */
export function submatrix(matrix: Float64Array, size: number, places: ArrayLike<number>): Float64Array {
  const count = places.length
  const result = new Float64Array(count * count)
  for (let i = 0; i < count; i++)
    for (let j = 0; j < count; j++) result[i * count + j] = matrix[places[i] * size + places[j]]
  return result
}

/**
 * Adds `share` · x xᵀ to what `inverse` is the inverse of, in place: A⁻¹ - A⁻¹ x xᵀ A⁻¹ / (1 / share + xᵀ A⁻¹ x), for a
 * positive share (Sherman and Morrison).
 */
export function addToInverse(inverse: Float64Array, size: number, x: Float64Array, share: number): void {
  const image = x.map((_, i) => dot(inverse, i * size, x, 0, size))
  const scale = 1 / share + dot(image, 0, x, 0, size)
  for (let i = 0; i < size; i++) {
    const factor = image[i] / scale
    if (factor === 0) continue
    const row = i * size
    for (let j = 0; j < size; j++) inverse[row + j] -= factor * image[j]
  }
}

/** The product of a matrix, [rows, vector], and a vector. */
export function times(matrix: Float64Array, rows: number, vector: Float64Array): Float64Array {
  const result = new Float64Array(rows)
  for (let i = 0; i < rows; i++) result[i] = dot(matrix, i * vector.length, vector, 0, vector.length)
  return result
}

/** The product of the transposed matrix, [vector, columns], and a vector. */
export function transposedTimes(matrix: Float64Array, columns: number, vector: Float64Array): Float64Array {
  const result = new Float64Array(columns)
  for (let i = 0; i < vector.length; i++) {
    const factor = vector[i]
    const row = i * columns
    if (factor !== 0) for (let j = 0; j < columns; j++) result[j] += factor * matrix[row + j]
  }
  return result
}

/** The sum of products of two vectors. */
export function innerProduct(left: Float64Array, right: Float64Array): number {
  return dot(left, 0, right, 0, left.length)
}

/** The inverse of a lower triangular matrix. */
function invertTriangle(factor: Float64Array, size: number): Float64Array {
  const inverse = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    const row = i * size
    for (let k = 0; k < i; k++) {
      const value = factor[row + k]
      if (value !== 0) for (let j = 0; j <= k; j++) inverse[row + j] -= value * inverse[k * size + j]
    }
    const pivot = factor[row + i]
    for (let j = 0; j < i; j++) inverse[row + j] /= pivot
    inverse[row + i] = 1 / pivot
  }
  return inverse
}

/** The product of two runs of `count` elements; four sums at a time, since an addition waits for the one before it. */
function dot(left: Float64Array, a: number, right: Float64Array, b: number, count: number): number {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  let k = 0
  for (; k + 3 < count; k += 4) {
    s0 += left[a + k] * right[b + k]
    s1 += left[a + k + 1] * right[b + k + 1]
    s2 += left[a + k + 2] * right[b + k + 2]
    s3 += left[a + k + 3] * right[b + k + 3]
  }
  for (; k < count; k++) s0 += left[a + k] * right[b + k]
  return s0 + s1 + (s2 + s3)
}
