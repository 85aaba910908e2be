import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import { filterL1 } from '../../../../src/methods/pruning/filters/filter-l1.ts'
import { networkSlimming } from '../../../../src/methods/pruning/filters/network-slimming.ts'
import { oracle } from '../../../../src/methods/pruning/filters/oracle.ts'
import { randomFilters } from '../../../../src/methods/pruning/filters/random-filters.ts'
import { randomMasks } from '../../../../src/methods/pruning/filters/random-masks.ts'
import type { Context, Method } from '../../../../src/methods/method.ts'
import { runCriteria, type CriteriaOptions } from '../../../../src/papers/criteria/bench.ts'
import { agreement, macsRemoved, optionsFor, pruneBy } from '../../../../src/papers/criteria/measure.ts'
import type { BenchNetwork } from '../../../../src/papers/criteria/networks.ts'
import { criteriaPage } from '../../../../src/papers/criteria/page.ts'
import { parseCriteriaResults } from '../../../../src/papers/criteria/results.ts'
import { patternData } from '../../../support/small-data.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [, cnn] = tinyModels()
const facts = { classes: cnn.classes, inputShape: cnn.inputShape }
const data = {
  train: patternData({ size: 64, seed: 1, ...facts }),
  validation: patternData({ size: 40, seed: 2, ...facts }),
  test: patternData({ size: 50, seed: 3, ...facts }),
}
const context: Context = { seed: 1, engine: onnxruntime, data, skip: () => {} }

describe('agreement', () => {
  it('divides the scores of each layer by their norm before all are ranked together', () => {
    const oracle = new Map([
      ['a', Float64Array.of(1, 2)],
      ['b', Float64Array.of(3, 4)],
    ])
    // Within the layers one agrees and one does not; divided by the norms a is (0.6, 0.8), b (0.8, 0.6).
    const scores = new Map([
      ['a', Float64Array.of(300, 400)],
      ['b', Float64Array.of(4, 3)],
    ])
    const found = agreement(scores, oracle)
    expect(found.layers).toBeCloseTo(0)
    expect(found.all).toBeCloseTo(0)
    expect(agreement(oracle, oracle).layers).toBeCloseTo(1)
  })

  it('leaves out what cannot be ranked', () => {
    const same = new Map([['a', Float64Array.of(1, 1)]])
    expect(agreement(same, new Map([['a', Float64Array.of(1, 2)]]))).toEqual({})
  })
})

describe('pruneBy', () => {
  it('cuts by given scores what the method itself would cut', async () => {
    const scores = await filterL1.scores!(cnn.model, filterL1.options.parse({}), context)
    const method = filterL1 as Method
    const known = await pruneBy(method, scores, cnn.model, 0.5, context)
    const own = await method.apply(cnn.model, optionsFor(method, 0.5), context)
    expect(writeModel(known)).toEqual(writeModel(own))
    expect(macsRemoved(cnn.model, known)).toBeGreaterThanOrEqual(0.5)
  })
})

describe('runCriteria', () => {
  const docs = temporaryFolder('criteria')

  const network: BenchNetwork = {
    name: 'tiny',
    about: 'A tiny network.',
    needs: [],
    seeds: [1, 2],
    oracleSamples: 20,
    retrain: { epochs: 1 },
    prepare: async () => ({ data, model: cnn.model }),
  }
  const criteria = [filterL1, networkSlimming, oracle, randomFilters, randomMasks] as Method[]
  const options = (notes: string[], most = Number.POSITIVE_INFINITY): CriteriaOptions => ({
    networks: [network],
    criteria,
    engine: onnxruntime,
    data: docs(),
    docs: docs(),
    cache: docs('cache'),
    note(text) {
      notes.push(text)
      if (notes.length >= most) throw new Error('killed')
    },
  })

  it('measures all criteria, goes on after a kill, and writes the page from the data', async () => {
    const [first, second, third]: string[][] = [[], [], []]
    await expect(runCriteria(options(first, 7))).rejects.toThrow('killed')
    const results = await runCriteria(options(second))
    // Ten entries, and of the eight that could be pruned two retrainings each.
    expect(first.length + second.length).toBe(10 + 2 * 8)
    await runCriteria(options(third))
    expect(third).toEqual([])
    const { entries, original } = results.get('tiny')!
    expect(original.map(({ seed }) => seed)).toEqual([1, 2])
    expect(entries.map(({ criterion, seed }) => `${criterion} ${seed}`)).toEqual(
      [...criteria].sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap(({ name }) => [`${name} 1`, `${name} 2`]),
    )
    const of = (name: string) => entries.find(({ criterion, seed }) => criterion === name && seed === 1)!
    // Between layers the oracle loses by the norms that it is divided by.
    expect(of('oracle').spearman!.layers).toBeCloseTo(1)
    expect(of('oracle').spearman!.all).toBeGreaterThan(0.5)
    expect(of('random-masks').spearman).toBeUndefined()
    expect(of('network-slimming').reason).toMatch(/batch normalization/)
    for (const { pruned } of entries)
      for (const { macs, removed, accuracy, retrained } of pruned) {
        expect(removed).toBeGreaterThanOrEqual(macs - 1e-9)
        expect(accuracy).toBeGreaterThanOrEqual(0)
        expect(retrained).toBeGreaterThanOrEqual(0)
      }
    const page = await readFile(docs('criteria.md'), 'utf8')
    expect(page).toBe(criteriaPage([network], criteria, results))
    expect(page).toContain('| random-filters |')
    expect(page).toContain('network-slimming does not fit: no batch normalization')
    expect(page).not.toContain('Not measured yet')
    const text = await readFile(docs('criteria', 'tiny.json'), 'utf8')
    expect(parseCriteriaResults(text, 'tiny.json')).toEqual(results.get('tiny'))
  })

  it('names what is not measured, and what is no results file', () => {
    expect(criteriaPage([network], criteria, new Map())).toContain('Not measured yet: filter-l1, network-slimming')
    expect(() => parseCriteriaResults('{}', 'x.json')).toThrow(
      expect.objectContaining({ code: 'criteria-results', place: 'x.json' }),
    )
  })
})
