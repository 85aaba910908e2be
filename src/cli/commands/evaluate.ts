import { Option } from 'commander'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { evaluate as evaluateModel } from '../../training/evaluate.ts'
import { defineCommand } from '../command.ts'
import { addDataOption, openSplit, splitNames, type SplitName } from '../data.ts'
import { loadModel } from '../files.ts'
import { formatCount, formatPercent, formatSeconds } from '../format.ts'
import { wholeNumber } from '../numbers.ts'
import { formatFacts } from '../table.ts'

interface Options {
  readonly data: string
  readonly split: SplitName
  readonly batch: number
  readonly threads?: number
  readonly output?: string
}

/** Measures a classifier. */
export const evaluate = defineCommand<Options>({
  name: 'evaluate',
  summary: 'Measures accuracy and loss of a classifier on labelled data.',
  examples: [
    ['espalier evaluate model.onnx --data mnist:data/mnist', 'counts the right answers on the 10,000 test images'],
  ],
  configure(command) {
    command.argument('<model>', 'an .onnx or .espalier file')
    addDataOption(command, 'what to measure on', true)
    command
      .addOption(new Option('--split <part>', 'the part of the data').choices([...splitNames]).default('test'))
      .option('--batch <n>', 'examples a run', wholeNumber(1), 64)
      .option('--threads <n>', "threads of the engine (default: the engine's choice)", wholeNumber(1))
      .option('--output <name>', 'the output with the classes (default: the first)')
  },
  async execute([path], options, { signal, progress }) {
    const { model } = await loadModel(path, progress.listener)
    const data = await openSplit(options.data, options.split)
    const start = performance.now()
    const { hits: _hits, ...result } = await evaluateModel(model, data, onnxruntime, {
      batchSize: options.batch,
      threads: options.threads,
      output: options.output,
      signal,
      progress: progress.listener,
    })
    const seconds = (performance.now() - start) / 1000
    return {
      data: { model: path, data: data.name, split: options.split, engine: onnxruntime.name, ...result, seconds },
      text: formatFacts([
        [
          'accuracy',
          `${formatPercent(result.accuracy)}, ${formatCount(result.correct)} of ${formatCount(result.count)}`,
        ],
        ...(result.top5 === undefined ? [] : [['top 5', formatPercent(result.top5)] as const]),
        ['error', formatPercent(result.error)],
        ['loss', `${result.loss.toFixed(4)} nats`],
        ['data', `${data.name}, ${options.split}`],
        ['time', formatSeconds(seconds)],
      ]),
    }
  },
})
