import { Option } from 'commander'
import type { Dataset } from '../../datasets/dataset.ts'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { ModelError, UsageError } from '../../errors.ts'
import type { Model } from '../../ir/model.ts'
import { sampleInputs } from '../../datasets/inputs.ts'
import { measureLatency } from '../../pipelines/measure.ts'
import type { ProgressListener } from '../../progress.ts'
import { toFloat32 } from '../../tensor/half.ts'
import { createPredictor } from '../../training/predictor.ts'
import { defineCommand } from '../command.ts'
import { addDataOption, openSplit, splitNames, type SplitName } from '../data.ts'
import { loadModel } from '../files.ts'
import { formatBytes, formatCount, formatMs, formatNumber, formatPercent } from '../format.ts'
import { wholeNumber } from '../numbers.ts'
import { formatFacts, formatTable, left, right } from '../table.ts'

interface Options {
  readonly data?: string
  readonly split: SplitName
  readonly batch: number
  readonly runs: number
  readonly seed: number
}

interface Difference {
  /** Examples, or made-up inputs where there is no data. */
  readonly count: number
  readonly correct?: readonly [number, number]
  /** Examples on which both models give the same class. */
  readonly agreed?: number
  readonly maxDifference: number
  /** Root mean square of the differences, over that of the first model's outputs. */
  readonly relativeDifference: number
}

/** Two models on the same inputs: how they differ, and which is faster. */
export const compare = defineCommand<Options>({
  name: 'compare',
  summary: 'Runs two models on the same inputs: accuracy, agreement, difference of outputs, latency in turns.',
  examples: [
    ['espalier compare model.onnx model.espalier --data mnist:data/mnist', 'says what compression changed'],
    ['espalier compare a.onnx b.onnx', 'compares outputs and speed on made-up inputs'],
  ],
  configure(command) {
    command
      .argument('<first>', 'an .onnx or .espalier file')
      .argument('<second>', 'another, with inputs of the same shape')
    addDataOption(command, 'what to compare on')
    command
      .addOption(new Option('--split <part>', 'the part of the data').choices([...splitNames]).default('test'))
      .option('--batch <n>', 'examples a run', wholeNumber(1), 64)
      .option('--runs <n>', 'timed runs of each model', wholeNumber(1), 30)
      .option('--seed <n>', 'seed of made-up inputs', wholeNumber(0), 1)
  },
  async execute([firstPath, secondPath], options, { signal, progress }) {
    const first = await loadModel(firstPath, progress.listener)
    const second = await loadModel(secondPath, progress.listener)
    const data = options.data ? await openSplit(options.data, options.split) : undefined
    const difference = data
      ? await compareOnData(first.model, second.model, data, options.batch, signal, progress.listener)
      : await compareMadeUp(first.model, second.model, options)
    const feeds = await sampleInputs(first.model, { seed: options.seed, batch: 1, data })
    const latency =
      feeds && (await measureLatency(first.model, second.model, feeds, onnxruntime, { runs: options.runs, signal }))
    const { count, correct, agreed } = difference
    const columns = [left(''), right('first'), right('second')]
    const rows = [['file size', formatBytes(first.fileBytes), formatBytes(second.fileBytes)]]
    if (correct) rows.push(['accuracy', ...correct.map((right) => formatPercent(right / count))])
    if (latency)
      rows.push(
        ['latency, median', formatMs(latency.before.medianMs), formatMs(latency.after.medianMs)],
        [
          'quartiles',
          `${formatMs(latency.before.lowMs)} - ${formatMs(latency.before.highMs)}`,
          `${formatMs(latency.after.lowMs)} - ${formatMs(latency.after.highMs)}`,
        ],
      )
    return {
      data: {
        first: {
          model: firstPath,
          fileBytes: first.fileBytes,
          ...(correct ? { accuracy: correct[0] / count, correct: correct[0] } : {}),
        },
        second: {
          model: secondPath,
          fileBytes: second.fileBytes,
          ...(correct ? { accuracy: correct[1] / count, correct: correct[1] } : {}),
        },
        data: data?.name,
        count,
        ...(agreed === undefined ? {} : { agreement: agreed / count, agreed }),
        maxDifference: difference.maxDifference,
        relativeDifference: difference.relativeDifference,
        latency,
      },
      text: `${formatTable(columns, rows)}\n${formatFacts([
        ['first', firstPath],
        ['second', secondPath],
        [
          'inputs',
          data
            ? `${formatCount(count)} examples of ${data.name}, ${options.split}`
            : `${count} made up, seed ${options.seed}`,
        ],
        ...(agreed === undefined
          ? []
          : [['agreement', `${formatPercent(agreed / count)}, the same class on ${formatCount(agreed)}`] as const]),
        [
          'outputs',
          `differ by at most ${formatNumber(difference.maxDifference)}, ${formatPercent(difference.relativeDifference)} in root mean square`,
        ],
        ...(latency
          ? [['engine', `${latency.engine}, batch ${latency.batch}, ${latency.runs} runs each, in turns`] as const]
          : []),
      ])}`,
    }
  },
})

async function compareOnData(
  first: Model,
  second: Model,
  data: Dataset,
  batch: number,
  signal: AbortSignal,
  listener: ProgressListener,
): Promise<Difference> {
  const predictors = [
    await createPredictor(first, data.inputShape, onnxruntime),
    await createPredictor(second, data.inputShape, onnxruntime),
  ]
  try {
    const sums = createSums()
    const correct: [number, number] = [0, 0]
    let agreed = 0
    for (let start = 0; start < data.size; start += batch) {
      signal.throwIfAborted()
      const count = Math.min(batch, data.size - start)
      const { inputs, labels } = await data.batch(Array.from({ length: count }, (_, i) => start + i))
      const [a, b] = [await predictors[0].predict(inputs), await predictors[1].predict(inputs)]
      checkSame(a.shape, b.shape)
      sums.add(a.data, b.data)
      for (let i = 0; i < count; i++) {
        const [left, right] = [a, b].map(({ data, shape }) => largest(data, i * shape[1], shape[1]))
        if (left === right) agreed++
        if (left === labels[i]) correct[0]++
        if (right === labels[i]) correct[1]++
      }
      listener({
        task: 'compare',
        done: start + count,
        total: data.size,
        detail: { agreement: formatPercent(agreed / (start + count)) },
      })
    }
    return { count: data.size, correct, agreed, ...sums.result() }
  } finally {
    for (const predictor of predictors) await predictor.close()
  }
}

async function compareMadeUp(first: Model, second: Model, options: Options): Promise<Difference> {
  const feeds = await sampleInputs(first, { seed: options.seed, batch: 1 })
  if (!feeds)
    throw new UsageError(
      'compare-inputs',
      'the inputs of the first model are not declared well enough to make some up',
      {
        hint: 'Give data with --data.',
      },
    )
  const sessions = [await onnxruntime.createSession(first), await onnxruntime.createSession(second)]
  try {
    const names = sessions.map(({ inputs }) => inputs)
    if (names[1].some((name) => !(name in feeds)))
      throw new ModelError(
        'compare-inputs',
        `the models have different inputs: ${names[0].join(', ')} and ${names[1].join(', ')}`,
      )
    const [a, b] = [await sessions[0].run(feeds), await sessions[1].run(feeds)]
    const sums = createSums()
    for (const name of sessions[0].outputs) {
      const [left, right] = [a[name], b[name]]
      if (!right) throw new ModelError('compare-outputs', `the second model has no output '${name}'`)
      checkSame(left.shape, right.shape)
      sums.add(toFloat32(left), toFloat32(right))
    }
    return { count: 1, ...sums.result() }
  } finally {
    for (const session of sessions) await session.close()
  }
}

function createSums() {
  let maxDifference = 0
  let squares = 0
  let differences = 0
  return {
    add(a: Float32Array, b: Float32Array) {
      for (let i = 0; i < a.length; i++) {
        const difference = Math.abs(a[i] - b[i])
        if (!(difference <= maxDifference)) maxDifference = difference
        squares += a[i] * a[i]
        differences += difference * difference
      }
    },
    result: () => ({ maxDifference, relativeDifference: squares > 0 ? Math.sqrt(differences / squares) : 0 }),
  }
}

function checkSame(a: readonly number[], b: readonly number[]): void {
  if (a.join() !== b.join())
    throw new ModelError('compare-outputs', `the outputs have shapes [${a.join(', ')}] and [${b.join(', ')}]`, {
      hint: 'Compare a model with another form of itself.',
    })
}

function largest(data: Float32Array, from: number, count: number): number {
  let best = 0
  for (let i = 1; i < count; i++) if (data[from + i] > data[from + best]) best = i
  return best
}
