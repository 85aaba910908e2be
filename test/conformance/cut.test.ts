/**
 * Channels cut out of real models and of the topologies of the ONNX backend tests: what is left computes what the masked
 * model computes. About half a minute on an idle machine.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readModel } from '../../src/formats/onnx/read.ts'
import { compareRandomCut } from '../support/channel-cuts.ts'
import { beforeSoftmax, thinned, withWeights } from '../support/light-models.ts'
import { sharedData } from '../support/shared-data.ts'
import { backendCases } from './backend.ts'

const models = sharedData('models')
const archive = sharedData('onnx-backend-v1.22.0.tar.xz')

const read = (path: string) => readModel(readFileSync(path), { place: path })

describe.skipIf(!models)('cut and masked agree on the real model', () => {
  test.each(models ? readdirSync(models) : [])('%s', { timeout: 240_000 }, async (name) => {
    const { worst, removed } = await compareRandomCut(read(join(models!, name)), 1)
    expect(removed).toBeGreaterThan(0)
    expect(worst).toBeLessThanOrEqual(1e-5)
  })
})

describe.skipIf(!archive)('cut and masked agree on the topology', () => {
  const light = (archive ? backendCases(archive) : []).filter(({ name }) => name.startsWith('light/'))
  test.each(light.map(({ name, model }) => [name.slice('light/light_'.length), model] as const))(
    '%s',
    { timeout: 240_000 },
    async (_, path) => {
      const model = beforeSoftmax(withWeights(thinned(read(path), 0.25, 1), 2))
      const { worst, removed } = await compareRandomCut(model, 1)
      expect(removed).toBeGreaterThan(0)
      expect(worst).toBeLessThanOrEqual(1e-5)
    },
  )
})
