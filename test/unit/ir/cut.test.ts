import { describe, expect, it } from 'vitest'
import { networks } from '../../../src/zoo/index.ts'
import { compareRandomCut } from '../../support/channel-cuts.ts'
import { tinyModels } from '../../support/tiny-models.ts'

const models = [
  ...tinyModels().map(({ name, model }) => [name, model] as const),
  ...[...networks.values()].map((network) => [network.name, network.build({ seed: 1 })] as const),
]

describe('cutting channels', () => {
  it.each(models)('leaves what masking leaves: %s', async (_, model) => {
    for (const seed of [1, 2]) {
      const { worst } = await compareRandomCut(model, seed)
      expect(worst).toBeLessThanOrEqual(1e-5)
    }
  })
})
