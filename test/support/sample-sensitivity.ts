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
