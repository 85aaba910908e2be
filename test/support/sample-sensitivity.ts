import type { Sensitivity } from '../../src/methods/method.ts'

/** Curves of so many layers: the later ones give way earlier. `name` stands wherever a model's own words can. */
export function sampleSensitivity(count: number, chosen = true, name = ''): Sensitivity {
  const curves = Array.from({ length: count }, (_, k) => {
    const points = Array.from({ length: 10 }, (__, i) => {
      const ratio = i / 10
      return { at: ratio, accuracy: 0.98 - 0.85 * ratio ** (1 + (6 * (count - k)) / count), loss: ratio }
    })
    const largest = points.findLast(({ accuracy }) => accuracy >= 0.97)!.at
    return { layer: `layer ${k + 1}${name}`, size: 16 * (k + 1), points, ...(chosen ? { chosen: largest } : {}) }
  })
  const facts = { unit: 'ratio' as const, parts: 'filters' as const, data: `mnist${name}`, count: 1000, accuracy: 0.98 }
  return { ...facts, ...(chosen ? { maxLoss: 1 } : {}), curves }
}

/** Curves of layers at 2 to 8 bits, the second of which cannot have 8; with a budget, what it gives each. */
export function sampleBits(budget: Pick<Sensitivity, 'maxLoss' | 'averageBits'> = {}): Sensitivity {
  const chosen = Object.keys(budget).length > 0 ? { chosen: 4 } : {}
  const curve = (layer: string, most: number) => ({
    layer,
    size: 1200,
    points: Array.from({ length: most - 1 }, (_, i) => ({
      at: i + 2,
      accuracy: 0.97 - 0.5 / 3 ** i,
      loss: 1 / 3 ** i,
    })),
    ...chosen,
  })
  const curves = [curve('conv1', 8), curve('conv2', 7)]
  return { unit: 'bits', parts: 'weights', data: 'mnist', count: 1000, accuracy: 0.98, ...budget, curves }
}
