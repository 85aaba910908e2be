import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../src/datasets/dataset.ts'
import { openData } from '../../../src/datasets/open.ts'

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('digits', () => {
  it('are 28 x 28 grey values from 0 to 1, ten classes in equal parts', async () => {
    const { train, validation, test } = await openData('digits')
    expect([train.size, validation.size, test.size]).toEqual([10_800, 1_200, 2_000])
    expect(test.inputShape).toEqual([1, 28, 28])
    const { inputs, labels } = await test.batch(range(100))
    expect(inputs.shape).toEqual([100, 1, 28, 28])
    expect(Math.min(...inputs.data)).toBe(0)
    expect(Math.max(...inputs.data)).toBeLessThanOrEqual(1)
    expect(Math.max(...inputs.data)).toBeGreaterThan(0.95)
    expect(range(10).map((digit) => labels.filter((label) => label === digit).length)).toEqual(Array(10).fill(10))
  })

  it('are the same each time, in whatever order they are asked for, and others for another seed', async () => {
    const [first, again, other] = await Promise.all(['digits', 'digits', 'digits?seed=2'].map((spec) => openData(spec)))
    const a = await first.test.batch([7, 1999, 7])
    await again.test.batch(range(50))
    const b = await again.test.batch([7, 1999, 7])
    expect(a.inputs.data).toEqual(b.inputs.data)
    expect(a.inputs.data.slice(0, 784)).toEqual(a.inputs.data.slice(2 * 784))
    expect((await other.test.batch([7])).inputs.data).not.toEqual(a.inputs.data.slice(0, 784))
  })

  it('differ from one another, and training digits from test digits', async () => {
    const { train, test } = await openData('digits?train=300&test=300&validation=0')
    const keys = new Set<string>()
    for (const part of [train, test]) {
      const { inputs } = await part.batch(range(300))
      for (let i = 0; i < 300; i++) keys.add(inputs.data.slice(i * 784, i * 784 + 784).join(' '))
    }
    expect(keys.size).toBe(600)
  })

  it('are too hard for a linear model, which stays under 95 %', async () => {
    const { train, test } = await openData('digits?validation=0')
    const accuracy = await linearAccuracy(train, test)
    expect(accuracy).toBeGreaterThan(0.7)
    expect(accuracy).toBeLessThan(0.95)
  })
})

/** Test accuracy of softmax regression after four passes of stochastic gradient descent with a falling step. */
async function linearAccuracy(train: Dataset, test: Dataset): Promise<number> {
  const weights = new Float64Array(785 * 10)
  const logits = (x: Float32Array, at: number) => {
    const result = new Float64Array(10)
    for (let c = 0; c < 10; c++) {
      let sum = weights[c * 785 + 784]
      for (let i = 0; i < 784; i++) sum += weights[c * 785 + i] * x[at + i]
      result[c] = sum
    }
    return result
  }
  const data = await train.batch(range(train.size))
  for (let epoch = 0; epoch < 4; epoch++) {
    for (let n = 0; n < train.size; n++) {
      const record = (n * 7919) % train.size
      const z = logits(data.inputs.data, record * 784)
      const top = Math.max(...z)
      const exps = z.map((value) => Math.exp(value - top))
      const sum = exps.reduce((a, b) => a + b)
      for (let c = 0; c < 10; c++) {
        const step = ((exps[c] / sum - (c === data.labels[record] ? 1 : 0)) * 0.02) / (1 + epoch)
        for (let i = 0; i < 784; i++) weights[c * 785 + i] -= step * data.inputs.data[record * 784 + i]
        weights[c * 785 + 784] -= step
      }
    }
  }
  const { inputs, labels } = await test.batch(range(test.size))
  let correct = 0
  for (let n = 0; n < test.size; n++) {
    const z = logits(inputs.data, n * 784)
    if (z.indexOf(Math.max(...z)) === labels[n]) correct++
  }
  console.log(`linear model on digits: ${((100 * correct) / test.size).toFixed(2)} %`)
  return correct / test.size
}
