import { onnxruntime } from '../../engines/onnxruntime.ts'
import { UsageError } from '../../errors.ts'
import { writeFileAtomic } from '../../formats/files.ts'
import { assertValid } from '../../ir/verify.ts'
import { methods } from '../../methods/index.ts'
import type { Family } from '../../methods/method.ts'
import type { Skipped } from '../../pipelines/result.ts'
import { formatSensitivityPage } from '../../pipelines/sensitivity-plot.ts'
import { defineCommand } from '../command.ts'
import { addDataOption, openSplits } from '../data.ts'
import { checkOutputs } from '../files.ts'
import { addSourceOptions, loadSource, sourceFiles, type SourceOptions } from '../foreign.ts'
import { wholeNumber } from '../numbers.ts'
import { recipeFromSteps } from '../recipes.ts'
import { formatSensitivity } from '../sensitivity-text.ts'
import { formatFacts } from '../table.ts'
import { visible } from '../visible.ts'

interface Options extends SourceOptions {
  readonly step: string
  readonly data: string
  readonly report?: string
  readonly seed: number
}

const able = (family: Family) =>
  [...methods.values()].filter((method) => method.sensitivity && method.family === family).map(({ name }) => name)

/** Measures how much each layer can give up, or in how few bits it can be written, and changes nothing. */
export const sensitivity = defineCommand<Options>({
  name: 'sensitivity',
  summary: 'Measures what each layer alone costs in accuracy: how much of it a method can remove, or at how few bits.',
  examples: [
    [
      'espalier sensitivity model.onnx --step filter-l1 --data cifar10:data/cifar10 --report layers.html',
      'a table of accuracies, and a page with a line for each layer',
    ],
    [
      "espalier sensitivity model.onnx --step 'magnitude?maxLoss=0.5' --data mnist:data/mnist",
      'also says how much each layer could give up for half a point; compress with that step takes just so much',
    ],
    [
      'espalier sensitivity model.onnx --step uniform --data cifar10:data/cifar10',
      'the accuracy with each layer alone at 2 to 8 bits',
    ],
  ],
  configure(command) {
    command.argument('<model>', 'an .onnx or .espalier file, or another with --from')
    addSourceOptions(command)
    command.requiredOption('--step <step>', 'what removes or quantizes: method or method?option=value&option=value')
    addDataOption(command, 'what to measure on; its validation part is used', true)
    command
      .option('--report <file>', 'an HTML page with the curves to write')
      .option('--seed <n>', 'seed of what is drawn', wholeNumber(0), 1)
  },
  async execute([path], options, context) {
    const [{ method, options: settings }] = recipeFromSteps([options.step]).steps
    if (!method.sensitivity)
      throw new UsageError(
        'method-sensitivity',
        `'${method.name}' neither removes a share of a layer nor has a precision to choose for it`,
        {
          place: '--step',
          hint: `These remove: ${able('pruning').join(', ')}. These have a precision: ${able('quantization').join(', ')}.`,
        },
      )
    await checkOutputs(options.report === undefined ? [] : [options.report], sourceFiles(path, options))
    const { model } = await loadSource(path, options, context)
    assertValid(model)
    const { train, validation } = await openSplits(options.data)
    const skipped: Skipped[] = []
    const found = await method.sensitivity(model, settings, {
      seed: options.seed,
      engine: onnxruntime,
      signal: context.signal,
      progress: context.progress.listener,
      data: { train, validation },
      original: model,
      skip: (layer, reason) => skipped.push({ layer, method: method.name, reason }),
    })
    const name = path.replace(/^.*[/\\]/, '')
    if (options.report !== undefined)
      await writeFileAtomic(options.report, formatSensitivityPage(name, options.step, found))
    const alone = skipped.map(({ layer, reason }) => `  - ${visible(`${layer}: ${reason}`)}\n`)
    return {
      data: {
        model: path,
        method: method.name,
        options: settings,
        sensitivity: found,
        skipped,
        report: options.report,
      },
      text: [
        formatSensitivity(found),
        ...(options.report === undefined ? [] : [formatFacts([['wrote', options.report]])]),
        ...(alone.length > 0 ? [`left alone\n${alone.join('')}`] : []),
      ].join('\n'),
    }
  },
})
