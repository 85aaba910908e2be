import { describe, expect, it } from 'vitest'
import { remarksOn } from '../../../src/pipelines/remarks.ts'
import type { RunReport } from '../../../src/pipelines/result.ts'
import { sampleReport } from '../../support/sample-report.ts'

const report = sampleReport()
const methods = report.stages.map(({ method }) => method)

/** What is said where so many of 10,000 examples are wrong that were right before. */
function onLoss(lost: number, skipped: RunReport['skipped'] = []): string {
  const { before } = report.accuracy!
  const correct = before.correct - lost
  const after = { ...before, correct, accuracy: correct / before.count }
  return remarksOn({ ...report, accuracy: { before, after }, skipped }).find((remark) => /more of the/.test(remark))!
}

describe('what is remarked on a loss', () => {
  it('names the layer whose outputs differ most', () => {
    expect(onLoss(12)).toBe(
      '12 more of the 10000 examples are wrong. The outputs differ most after ip2 (8.20 %): be milder there first.',
    )
    expect(onLoss(1)).toMatch(/^1 more of the 10000 examples is wrong\./)
  })

  it('never asks to be milder where no step did anything', () => {
    const alone = (layer: string, steps: readonly string[]) => steps.map((method) => ({ layer, method, reason: 'why' }))
    expect(onLoss(12, alone('ip2', methods))).toContain('after ip3 (7.10 %)')
    expect(onLoss(12, alone('ip2', methods.slice(1)))).toContain('after ip2 (8.20 %)')
    const all = ['ip1', 'ip2', 'ip3'].flatMap((layer) => alone(layer, methods))
    expect(onLoss(12, all)).toBe('12 more of the 10000 examples are wrong.')
  })
})

describe('what is remarked where nothing happened', () => {
  const untouched: RunReport = {
    ...report,
    files: { ...report.files, onnx: report.files.originalOnnx },
    latency: { ...report.latency!, after: report.latency!.before },
    work: { ...report.work!, macsAfter: report.work!.macsBefore },
    size: { ...report.size, weightsKept: report.size.weights, ratios: { weights: 1, storage: 1, bytes: 1.2 } },
  }

  it('speaks of no zeros, codes or shared values', () => {
    const remarks = remarksOn(untouched).join(' ')
    expect(remarks).toContain('Hardly a weight was removed or shared')
    expect(remarks).not.toMatch(/ONNX stores|Shared weights|Pruned weights/)
  })

  it('asks for a step for weights where only activations were quantized', () => {
    const stages = report.stages.map((stage) => ({ ...stage, method: 'uniform-activations' }))
    const remarks = remarksOn({ ...untouched, stages }).join(' ')
    expect(remarks).toContain('what quantizes activations leaves weights as they are, so add a step for weights')
    expect(remarks).not.toContain('ask for more')
  })

  it('is told from shared values and from cut channels', () => {
    const shared = { ...untouched, size: { ...untouched.size, ratios: { weights: 1, storage: 4, bytes: 5 } } }
    expect(remarksOn(shared).join(' ')).toMatch(/ONNX stores codes.+Shared weights are looked up/)
    const coded = { ...shared, stages: [...shared.stages, { ...shared.stages.at(-1)!, method: 'uniform' }] }
    expect(remarksOn(coded).join(' ')).toContain('Integer codes become floats again in every run')
    const cut = { ...untouched, work: { ...report.work!, macsAfter: 0.5 * report.work!.macsBefore } }
    expect(remarksOn(cut).join(' ')).toContain('It has fewer multiply-accumulates')
    expect(remarksOn(cut).join(' ')).not.toContain('Hardly a weight')
  })
})

it('credits no recipe with the zeros that were there before', () => {
  expect(remarksOn(report).join(' ')).not.toContain('zero already')
  const [first, ...others] = report.layers
  const sparse = { ...first, before: { ...first.before, zeros: 0.6 * report.size.weights } }
  expect(remarksOn({ ...report, layers: [sparse, ...others] })).toContain(
    "Of the original's weights 60.0 % were zero already: all ratios count them as this recipe's work.",
  )
})
