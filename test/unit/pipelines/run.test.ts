import type { ProgressEvent } from '../../../src/progress.ts'
import { describe, expect, it } from 'vitest'
import { formatRun } from '../../../src/cli/result-text.ts'
import type { DataSplits } from '../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../src/formats/onnx/write.ts'
import { readPack } from '../../../src/formats/pack/read.ts'
import { methods } from '../../../src/methods/index.ts'
import { parseRecipe } from '../../../src/pipelines/recipe.ts'
import { formatReport } from '../../../src/pipelines/report.ts'
import { runRecipe, type StageStore } from '../../../src/pipelines/run.ts'
import { searchStrength } from '../../../src/pipelines/search.ts'
import { patternData } from '../../support/small-data.ts'
import { tinyModels } from '../../support/tiny-models.ts'

const [mlp, cnn, , , , branching] = tinyModels()
const shape = { classes: 4, inputShape: [8], noise: 0.15 }
const data: DataSplits = {
  train: patternData({ ...shape, size: 200, seed: 1 }),
  validation: patternData({ ...shape, size: 60, seed: 2 }),
  test: patternData({ ...shape, size: 80, seed: 3 }),
}

const deep = parseRecipe(`
name: tiny
training: { optimizer: adam, learningRate: 0.02, batchSize: 20, epochs: 2 }
steps:
  - { method: magnitude, sparsity: 0.6, rounds: 2 }
  - { method: k-means, bits: 2, exclude: [fc2] }
  - { method: huffman }
`)

const fast = { engine: onnxruntime, latency: false }

describe('runRecipe', () => {
  it('measures, proves and reports every step', async () => {
    const before = writeModel(mlp.model)
    const seen: string[] = []
    const { model, pack, report } = await runRecipe(mlp.model, deep, {
      engine: onnxruntime,
      data,
      onStage: ({ method }) => seen.push(method),
    })
    expect(seen).toEqual(['magnitude', 'k-means', 'huffman'])
    expect(writeModel(mlp.model)).toEqual(before)
    const onnx = writeModel(model)
    expect(writeModel(readPack(pack))).toEqual(onnx)
    expect(report.proof.filter(({ passed }) => !passed)).toEqual([])
    expect(report.proof.at(-1)!.detail).toMatch(/relative error .+, the same class for .+, on 8 examples of the data$/)
    expect(report.files).toMatchObject({ pack: pack.length, onnx: onnx.length, originalOnnx: before.length })
    expect(report.files.originalParameters).toBe(4 * (128 + 16 + 64 + 4))
    expect(report.size.weights).toBe(192)
    expect(report.size.weightsKept).toBe(128 - 77 + (64 - 38))
    expect(report.size.ratios.weights).toBeCloseTo(192 / 77)
    expect(report.size.ratios.bytes).toBeCloseTo(report.files.originalParameters / pack.length)
    expect(report.accuracy!.before.count).toBe(80)
    expect(report.accuracy!.after).toEqual(report.stages.at(-1)!.accuracy)
    expect(report.latency!.runs).toBeGreaterThan(3)
    expect(report.skipped).toEqual([{ layer: 'fc2', method: 'k-means', reason: 'excluded by the options' }])
    expect(report.parts.reduce((sum, part) => sum + part.bytes, 0)).toBe(pack.length)
    const [fc1, fc2] = report.layers
    expect(fc1).toMatchObject({ name: 'fc1', op: 'Gemm', parameters: 144, shape: [16, 8], bytesBefore: 512 })
    expect(fc1.density).toBeCloseTo(51 / 128)
    expect(fc1.work).toMatchObject({ macsBefore: 128, macsAfter: 128 })
    expect(fc1.work!.energyPjAfter).toBeLessThan(fc1.work!.energyPjBefore)
    expect(report.work!.energyPjAfter).toBeCloseTo(fc1.work!.energyPjAfter + fc2.work!.energyPjAfter, 3)
    expect(fc1.outputError).toBeGreaterThan(0)
    expect(fc1.after!.zeros).toBe(77)
    expect(fc1.after!.counts.reduce((sum, count) => sum + count, 0)).toBe(51)
    expect(fc2.bytesAfter).toBeGreaterThan(0)
    expect(formatReport(report)).toContain('fc1')
  })

  it('gives the same twice, and a different result for another seed', async () => {
    const run = async (seed: number) => (await runRecipe(mlp.model, deep, { ...fast, data, seed })).pack
    const first = await run(1)
    expect(await run(1)).toEqual(first)
    expect(await run(2)).not.toEqual(first)
  })

  it('works without data, on graphs with control flow too, and says what that means', async () => {
    const recipe = parseRecipe('steps: [{ method: magnitude, sparsity: 0.5 }, { method: k-means, bits: 3 }]')
    for (const { model } of [cnn, branching]) {
      const { report } = await runRecipe(model, recipe, fast)
      expect(report.proof.every(({ passed }) => passed)).toBe(true)
      expect(report.accuracy).toBeUndefined()
      expect(report.remarks).toContain('Accuracy was not measured: there was no data.')
    }
    const { report } = await runRecipe(branching.model, recipe, fast)
    expect(report.skipped.map(({ layer }) => layer)).toContain('inner')
  })

  it('goes on after a kill where it was', async () => {
    const files = new Map<string, Uint8Array>()
    let saves = 0
    const store: StageStore = {
      load: async (name) => files.get(name),
      save: async (name, bytes) => {
        expect(name).toMatch(/^[0-9a-f]{16}\.(onnx|json|[0-9a-f]{16}\.training)$/)
        if (!name.endsWith('.training') && ++saves > 4) throw new Error('killed')
        files.set(name, bytes)
      },
      remove: async (name) => void files.delete(name),
    }
    const whole = await runRecipe(mlp.model, deep, { ...fast, data })
    await expect(runRecipe(mlp.model, deep, { ...fast, data, store })).rejects.toThrow('killed')
    saves = -1000
    let trained = 0
    const progress = ({ task }: ProgressEvent) => {
      if (/train/.test(task)) trained++
    }
    const resumed = await runRecipe(mlp.model, deep, { ...fast, data, store, progress })
    expect(trained).toBe(0)
    expect(resumed.pack).toEqual(whole.pack)
    expect(resumed.report.skipped).toEqual(whole.report.skipped)
    // Another model, seed or option starts anew.
    await runRecipe(mlp.model, deep, { ...fast, data, store, seed: 9, progress })
    expect(trained).toBeGreaterThan(0)
  })

  it('reports what is left of a cut model, and that it computes what the masked one does, after a kill too', async () => {
    const recipe = parseRecipe('steps: [{ method: filter-l1, keep: 2, layers: { conv2: { ratio: 0.25 } } }]')
    const files = new Map<string, Uint8Array>()
    const store: StageStore = {
      load: async (name) => files.get(name),
      save: async (name, bytes) => void files.set(name, bytes),
      remove: async (name) => void files.delete(name),
    }
    const { report, model } = await runRecipe(cnn.model, recipe, { ...fast, store })
    const [check] = report.proof
    expect(check).toMatchObject({ check: 'filter-l1: masked = cut', passed: true })
    expect(check.leftOut).toBeUndefined()
    expect(report.proof.filter(({ passed }) => !passed)).toEqual([])
    expect(report.size).toMatchObject({ weights: 36 + 288 + 32, weightsKept: 18 + 108 + 24 })
    expect(report.layers.map(({ name, density }) => [name, density])).toEqual([
      ['conv1', 1],
      ['conv2', 1],
      ['fc', 1],
    ])
    expect(report.files.onnx).toBe(writeModel(model).length)
    expect(report.skipped.map(({ layer }) => layer)).toEqual(['fc'])
    const resumed = await runRecipe(cnn.model, recipe, { ...fast, store })
    expect(resumed.report.proof).toEqual(report.proof)
  })

  it('reports how sensitive the layers were, after a kill too', async () => {
    const recipe = parseRecipe('steps: [{ method: filter-l1, maxLoss: 30, maxLossSamples: 60, retrain: false }]')
    const files = new Map<string, Uint8Array>()
    const store: StageStore = {
      load: async (name) => files.get(name),
      save: async (name, bytes) => void files.set(name, bytes),
      remove: async (name) => void files.delete(name),
    }
    const { report } = await runRecipe(mlp.model, recipe, { ...fast, data, store })
    const [{ sensitivity }] = report.stages
    expect(sensitivity).toMatchObject({
      unit: 'ratio',
      parts: 'filters',
      data: data.validation.name,
      count: 60,
      maxLoss: 30,
    })
    expect(sensitivity!.curves.map(({ layer }) => layer)).toEqual(['fc1'])
    expect(formatRun(report, [])).toContain('gives up')
    const again = await runRecipe(mlp.model, recipe, { ...fast, data, store })
    expect(again.report.stages[0].sensitivity).toEqual(sensitivity)
  })

  it('goes on inside a step with several trainings, to the same bits', async () => {
    const recipe = parseRecipe(`
steps:
  - method: magnitude
    sparsity: 0.6
    rounds: 3
    retrain: { epochs: 4, batchSize: 20, optimizer: adam, learningRate: 0.01 }
`)
    const files = new Map<string, Uint8Array>()
    const store: StageStore = {
      load: async (name) => files.get(name),
      save: async (name, bytes) => void files.set(name, bytes),
      remove: async (name) => void files.delete(name),
    }
    const whole = await runRecipe(mlp.model, recipe, { ...fast, data })
    const control = new AbortController()
    const stopped = runRecipe(mlp.model, recipe, {
      ...fast,
      data,
      store,
      signal: control.signal,
      progress: ({ task, done }) => {
        if (task.startsWith('retrain 2/3') && done > 1) control.abort()
      },
    })
    await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
    expect([...files.keys()].filter((name) => name.endsWith('.training'))).toHaveLength(2)
    const seen: string[] = []
    const resumed = await runRecipe(mlp.model, recipe, {
      ...fast,
      data,
      store,
      progress: ({ task, done }) => void seen.push(`${task.slice(0, 11)} ${done}`),
    })
    expect(resumed.pack).toEqual(whole.pack)
    expect(seen.some((event) => event.startsWith('retrain 1/3'))).toBe(false)
    expect(seen.some((event) => event.startsWith('retrain 3/3'))).toBe(true)
    expect([...files.keys()].every((name) => /\.(onnx|json)$/.test(name))).toBe(true)
  })

  it('tells what the engine refuses before the first step', async () => {
    const { graph } = mlp.model
    const last = graph.nodes.at(-1)!
    const nodes = [
      ...graph.nodes.slice(0, -1),
      { ...last, outputs: ['inner'] },
      { name: 'twist', op: 'Twist', domain: 'test', attributes: {}, inputs: ['inner'], outputs: last.outputs },
    ]
    const model = {
      ...mlp.model,
      opsets: new Map([...mlp.model.opsets, ['test', 1]]),
      graph: { ...graph, nodes },
    }
    const recipe = parseRecipe('steps: [{ method: magnitude, sparsity: 0.5 }]')
    const seen: string[] = []
    const run = runRecipe(model, recipe, { ...fast, onStage: ({ method }) => seen.push(method) })
    await expect(run).rejects.toMatchObject({ code: 'engine-refused' })
    expect(seen).toEqual([])
  })

  it('does not show as passed what it could not run', async () => {
    const { graph } = mlp.model
    const inputs = graph.inputs.map(({ name, type }) => ({ name, type: type && { dtype: type.dtype } }))
    const recipe = parseRecipe('steps: [{ method: magnitude, sparsity: 0.5 }]')
    const { report } = await runRecipe({ ...mlp.model, graph: { ...graph, inputs } }, recipe, fast)
    expect(report.proof.at(-1)).toMatchObject({ check: 'the engine runs it', leftOut: true })
    expect(formatRun(report, [])).toMatch(/left out {2}the engine runs it/)
    expect(formatReport(report)).toContain('<li class="left-out">the engine runs it')
  })

  it('shows in full what each method proves about its training', async () => {
    const recipe = parseRecipe('steps: [{ method: magnitude, sparsity: 0.5 }]')
    const { report } = await runRecipe(mlp.model, recipe, fast)
    const checks = [...methods.keys()].map((name) => `${name}: the frozen network computes what was trained`)
    const proof = checks.map((check) => ({ check, passed: true, detail: 'equal' }))
    const text = formatRun({ ...report, proof }, [])
    for (const check of checks) expect(text).toContain(`passed  ${check}`)
  })

  it('names the place in the recipe of a pattern that fits no layer', async () => {
    for (const [options, place] of [
      ['exclude: [fc2, nothing]', 'r.yaml:4:20'],
      ['layers: { nothing: { sparsity: 0.1 } }', 'r.yaml:4:15'],
    ]) {
      const recipe = parseRecipe(`steps:\n  - method: magnitude\n    sparsity: 0.5\n    ${options}`, { file: 'r.yaml' })
      await expect(runRecipe(mlp.model, recipe, fast)).rejects.toMatchObject({ code: 'layer-pattern', place })
    }
  })

  it('stops when it is told to', async () => {
    const control = new AbortController()
    control.abort()
    await expect(runRecipe(mlp.model, deep, { ...fast, data, signal: control.signal })).rejects.toBeDefined()
  })

  it('keeps a budget by turning the strengths down', async () => {
    const { train } = await import('../../../src/training/train.ts')
    const { trainingSettings } = await import('../../../src/training/settings.ts')
    const settings = trainingSettings.parse({ epochs: 15, batchSize: 20, optimizer: 'adam', learningRate: 0.02 })
    const { model } = await train(mlp.model, { data: data.train, settings, engine: onnxruntime, seed: 1 })
    const recipe = parseRecipe(`
steps: [{ method: magnitude, sparsity: 0.97, retrain: false }]
budget: { maxAccuracyLoss: 5, trials: 4 }
`)
    const { report } = await runRecipe(model, recipe, { ...fast, data })
    expect(report.budget!.tried.map(({ strength }) => strength).slice(0, 2)).toEqual([1, 0.5])
    expect(report.budget!.met).toBe(true)
    expect(report.budget!.accuracyLoss).toBeLessThanOrEqual(5)
    expect(report.budget!.strength).toBeLessThan(1)
    expect(report.size.weightsKept).toBeGreaterThan(10)
  })
})

describe('searchStrength', () => {
  const budget = { maxAccuracyLoss: 1, trials: 5, push: false }
  const run = (limit: number) => async (strength: number) => ({
    pass: strength,
    accuracyLoss: strength <= limit ? 0.5 : 2,
  })

  it('takes the recipe as written when it keeps the budget', async () => {
    const { best, tried } = await searchStrength(budget, undefined, { run: run(1) })
    expect(best.strength).toBe(1)
    expect(tried).toHaveLength(1)
  })

  it('halves the interval towards the strongest that keeps it', async () => {
    const down = await searchStrength(budget, undefined, { run: run(0.6) })
    expect(down.best.strength).toBeCloseTo(0.59375)
    const up = await searchStrength({ ...budget, push: true }, undefined, { run: run(1.3) })
    expect(up.best.strength).toBeCloseTo(1.28125)
  })

  it('falls back to what lost least, and does not try where there is nothing to turn', async () => {
    const none = await searchStrength(budget, 0, { run: run(0) })
    expect(none.tried).toHaveLength(1)
    const worst = await searchStrength(budget, undefined, {
      run: async (strength) => ({ pass: 0, accuracyLoss: 2 + strength }),
    })
    expect(worst.best.strength).toBe(1 / 32)
  })
})
