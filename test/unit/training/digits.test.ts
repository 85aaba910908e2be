import { describe, expect, it } from 'vitest'
import { subset } from '../../../src/datasets/dataset.ts'
import { openData } from '../../../src/datasets/open.ts'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { train } from '../../../src/training/train.ts'
import { lenet300100 } from '../../../src/zoo/lenet-300-100.ts'

const { train: digits } = await openData('digits', { seed: 1 })
const data = subset(
  digits,
  Uint32Array.from({ length: 640 }, (_, i) => i),
)

describe('a training on digits', () => {
  it.each([
    ['extra-gradient', { optimizer: 'extra-gradient', momentum: 0, learningRate: 0.05, epochs: 6 }],
    ['extra-gradient with momentum', { optimizer: 'extra-gradient', learningRate: 0.02 }],
    ['shift-based AdaMax', { optimizer: 'shift-adamax', learningRate: 2 ** -10 }],
    ['ternary gradients', { gradientTernary: true, learningRate: 0.01 }],
    ['ternary gradients and Adam', { gradientTernary: true, optimizer: 'adam', learningRate: 0.001 }],
    ['gradients of four bits', { gradientBits: 4, learningRate: 0.02 }],
    ['gradients of one bit', { gradientBits: 1, learningRate: 0.01 }],
  ])('learns with %s', async (_, settings) => {
    const parsed = trainingSettings.parse({ epochs: 3, batchSize: 32, ...settings })
    const { history } = await train(lenet300100({ seed: 1 }), { data, settings: parsed, engine, seed: 1 })
    const losses = history.map(({ loss }) => loss)
    expect(losses[1]).toBeLessThan(losses[0])
    expect(losses[2]).toBeLessThan(losses[1])
    expect(losses.at(-1)).toBeLessThan(0.7 * losses[0])
  })
})
