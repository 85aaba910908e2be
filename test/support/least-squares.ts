/** Small least-squares problems: inputs that depend on each other, and how far outputs move. */
import type { Dataset } from '../../src/datasets/dataset.ts'
import type { Model } from '../../src/ir/model.ts'
import type { Context } from '../../src/methods/method.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { createTensor, elementCount } from '../../src/tensor/tensor.ts'

/** Examples whose values are mixtures of a few common ones around means of their own, so that some can stand in for others. */
export function correlatedData(inputShape: readonly number[], size: number, seed = 7): Dataset {
  const elements = elementCount(inputShape)
  const causes = Math.min(32, Math.max(2, Math.floor(elements / 3)))
  const random = createRandom(seed)
  const normals = (count: number) => Float64Array.from({ length: count }, () => random.normal())
  const [mixing, means] = [normals(elements * causes), normals(elements)]
  const values = new Float32Array(size * elements)
  for (let n = 0; n < size; n++) {
    const cause = normals(causes)
    for (let i = 0; i < elements; i++) {
      const mixed = cause.reduce((sum, value, c) => sum + value * mixing[i * causes + c], 0)
      values[n * elements + i] = means[i] + mixed / Math.sqrt(causes) + 0.3 * random.normal()
    }
  }
  return {
    name: 'correlated',
    size,
    inputShape,
    classes: 2,
    async batch(indices) {
      const rows = new Float32Array(indices.length * elements)
      for (let i = 0; i < indices.length; i++)
        rows.set(values.subarray(indices[i] * elements, (indices[i] + 1) * elements), i * elements)
      const labels = Int32Array.from({ length: indices.length }, (_, i) => indices[i] % 2)
      return { inputs: createTensor('float32', [indices.length, ...inputShape], rows), labels }
    },
  }
}

/** A random positive definite matrix, [size, size], of inputs that depend on each other. */
export function randomHessian(size: number, seed: number): Float64Array {
  const random = createRandom(seed).fork('hessian')
  const matrix = new Float64Array(size * size)
  for (let n = 0; n < size + 3; n++) {
    const common = random.normal()
    const x = Float64Array.from({ length: size }, () => common + random.normal())
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) matrix[i * size + j] += x[i] * x[j]
  }
  for (let i = 0; i < size; i++) matrix[i * size + i] += 0.1
  return matrix
}

/** (a - b)ᵀ H (a - b). */
export function squaredChange(hessian: Float64Array, a: Float64Array, b: Float64Array): number {
  const change = a.map((value, i) => value - b[i])
  let sum = 0
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j < a.length; j++) sum += change[i] * change[j] * hessian[i * a.length + j]
  return sum
}

/** The mean squared difference of what two models put out on the training data, all of it as one batch. */
export async function outputError(one: Model, other: Model, { engine, data }: Context): Promise<number> {
  const { inputs } = await data!.train.batch(Array.from({ length: data!.train.size }, (_, i) => i))
  const run = async (model: Model) => {
    const session = await engine.createSession(model, { purpose: 'check' })
    try {
      return toFloat32(Object.values(await session.run({ [model.graph.inputs[0].name]: inputs }))[0])
    } finally {
      await session.close()
    }
  }
  const [a, b] = [await run(one), await run(other)]
  return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2 / a.length, 0)
}
