import type { RunReport, SizeMeasure } from '../pipelines/result.ts'
import {
  formatBytes,
  formatCount,
  formatMicrojoules,
  formatMs,
  formatPercent,
  formatRatio,
  formatSeconds,
} from './format.ts'
import { formatSensitivity } from './sensitivity-text.ts'
import { formatFacts, formatTable, left, right } from './table.ts'
import { visible } from './visible.ts'

/** The most characters of what was checked: the name of any method and what it proves, and names of outputs cut short. */
const MOST_OF_CHECK = 80

/** The table of a run on the terminal: what each step came to, the proof, and what a reader must know. */
export function formatRun(report: RunReport, written: readonly string[]): string {
  const row = (name: string, size: SizeMeasure | undefined, accuracy: number | undefined, seconds?: number) => [
    name,
    size ? formatRatio(size.ratios.weights) : '1x',
    size ? formatRatio(size.ratios.storage) : '1x',
    size ? formatRatio(size.ratios.bytes) : '1x',
    formatBytes(size ? size.packBytes : report.files.originalParameters),
    accuracy === undefined ? '-' : formatPercent(accuracy),
    seconds === undefined ? '' : formatSeconds(seconds),
  ]
  const steps = formatTable(
    [
      left('step'),
      right('weights kept'),
      right('with indices'),
      right('real bytes'),
      right('size'),
      right('accuracy'),
      right('time'),
    ],
    [
      row('original', undefined, report.accuracy?.before.accuracy),
      ...report.stages.map((stage) => row(stage.method, stage.size, stage.accuracy?.accuracy, stage.seconds)),
    ],
  )
  const { files, size, latency, accuracy, budget, work } = report
  const facts: [string, string][] = [
    [
      'ratios',
      `${formatRatio(size.ratios.weights)} weights kept, ${formatRatio(size.ratios.storage)} storage with indices, ${formatRatio(size.ratios.bytes)} bytes of the real file`,
    ],
    [
      'bits a weight',
      `${size.bitsPerWeight.toFixed(2)}, by arithmetic, with scales, codebooks, biases and every layer`,
    ],
    [
      'file',
      `${formatCount(files.originalOnnx)} B of original ONNX, ${formatCount(files.pack)} B as a pack (${formatPercent(files.pack / files.originalOnnx, 1)}), ${formatCount(files.onnx)} B as compressed ONNX`,
    ],
  ]
  if (accuracy)
    facts.push([
      'accuracy',
      `${formatPercent(accuracy.before.accuracy)} before, ${formatPercent(accuracy.after.accuracy)} after, on ${formatCount(accuracy.after.count)} examples of ${accuracy.after.data}`,
    ])
  if (work)
    facts.push([
      'work',
      `${formatCount(work.macsBefore)} macs before, ${formatCount(work.macsAfter)} after (${formatRatio(work.macsBefore / work.macsAfter)}); ${formatMicrojoules(work.energyPjBefore)} before, ${formatMicrojoules(work.energyPjAfter)} after (${formatRatio(work.energyPjBefore / work.energyPjAfter)}), estimated for 45 nm and a machine that skips zero weights`,
    ])
  if (latency)
    facts.push([
      'latency',
      `${formatMs(latency.before.medianMs)} before, ${formatMs(latency.after.medianMs)} after; medians, quartiles ${formatMs(latency.before.lowMs)}-${formatMs(latency.before.highMs)} and ${formatMs(latency.after.lowMs)}-${formatMs(latency.after.highMs)}, ${latency.engine}, batch ${latency.batch}`,
    ])
  if (budget)
    facts.push([
      'budget',
      `${Math.abs(budget.accuracyLoss).toFixed(2)} points ${budget.accuracyLoss < 0 ? 'gained' : 'lost'} on validation data, ${budget.maxAccuracyLoss} may be lost: ${budget.met ? 'kept' : 'NOT KEPT'}`,
    ])
  for (const path of written) facts.push(['wrote', path])
  facts.push(['time', formatSeconds(report.seconds)])
  const proof = formatTable(
    [left('proof'), { title: '', most: MOST_OF_CHECK }, left('')],
    report.proof.map(({ check, passed, leftOut, detail }) => [
      leftOut ? 'left out' : passed ? 'passed' : 'FAILED',
      check,
      detail,
    ]),
  )
  const sensitivities = report.stages.flatMap(({ sensitivity }) =>
    sensitivity ? [formatSensitivity(sensitivity)] : [],
  )
  return `${[steps, ...sensitivities].join('\n')}\n${formatFacts(facts)}\n${proof}${list('good to know', report.remarks)}${list(
    'left alone',
    report.skipped.map(({ layer, method, reason }) => `${layer} by ${method}: ${reason}`),
  )}`
}

function list(title: string, lines: readonly string[]): string {
  return lines.length > 0 ? `\n${title}\n${lines.map((line) => `  - ${visible(line)}\n`).join('')}` : ''
}

/** The exit status of a run: not zero where something was not proven. */
export function proofExitCode(report: RunReport): number {
  return report.proof.every(({ passed }) => passed) ? 0 : 1
}
