import { rm, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { UsageError } from '../../errors.ts'
import { writeFileAtomic } from '../../formats/files.ts'
import { writeModelFile } from '../../formats/onnx/file.ts'
import type { Recipe } from '../../pipelines/recipe.ts'
import { formatReport, formatReportJson } from '../../pipelines/report.ts'
import { runRecipe, type StageStore } from '../../pipelines/run.ts'
import { withDataOptions } from '../../datasets/open.ts'
import { defineCommand } from '../command.ts'
import { addDataOption, openSplits } from '../data.ts'
import { checkOutputs, makeFolder, withEnding } from '../files.ts'
import { addSourceOptions, loadSource, sourceFiles, type SourceOptions } from '../foreign.ts'
import { formatCount, formatPercent, formatRatio, formatSeconds } from '../format.ts'
import { numberWithin, repeated, wholeNumber } from '../numbers.ts'
import { defaultRecipe, loadRecipe, recipeFromSteps, shippedRecipes } from '../recipes.ts'
import { formatRun, proofExitCode } from '../result-text.ts'
import { formatFacts } from '../table.ts'

interface Options extends SourceOptions {
  readonly recipe?: string
  readonly step?: readonly string[]
  readonly data?: string
  readonly output?: string
  readonly onnx?: string
  readonly report?: string | false
  readonly reportJson?: string
  readonly maxLoss?: number
  readonly seed?: number
  readonly resume?: string
  readonly latency: boolean
}

/** Applies a recipe, measures and proves the result, and writes the pack. */
export const compress = defineCommand<Options>({
  name: 'compress',
  summary: 'Makes a model small by a recipe, proves the result, and writes it as an .espalier file with a report.',
  examples: [
    ['espalier compress model.onnx', 'needs no data; writes model.espalier and model.report.html'],
    [
      "espalier compress model.onnx --recipe smallest --data 'images:photos?crop=224&test=0.5' --max-loss 0.5",
      'the smallest file that loses at most half a point, found by several trials; nothing is retrained',
    ],
    [
      'espalier compress lenet.onnx --recipe deep-compression --data mnist:data/mnist -o lenet.espalier',
      'prunes, shares and codes the weights, retraining on the way',
    ],
    [
      'espalier compress --from deep-compression --prototxt deploy.prototxt net.net -o net.espalier --onnx net.onnx',
      "packs a network that Deep Compression's authors published, with exactly its weights",
    ],
    ["espalier compress model.onnx --step 'k-means?bits=4' --step huffman", 'steps of your own, see: espalier catalog'],
  ],
  configure(command) {
    command.argument('<model>', 'an .onnx or .espalier file, or another with --from')
    addSourceOptions(command)
    command
      .option(
        '-r, --recipe <name>',
        `a recipe (${shippedRecipes().join(', ')}) or a YAML file (default: ${defaultRecipe})`,
      )
      .option(
        '--step <step>',
        'a step instead of a recipe: method?option=value&option=value; may be repeated',
        repeated,
      )
    addDataOption(command, 'what to retrain, choose and measure on')
    command
      .option('-o, --output <file>', 'the pack to write (default: the name of the model with .espalier)')
      .option('--onnx <file>', 'also write the compressed model as ONNX')
      .option('--report <file>', 'the HTML report to write (default: the name of the pack with .report.html)')
      .option('--no-report', 'write no HTML report')
      .option('--report-json <file>', 'also write the report as JSON')
      .option(
        '--max-loss <points>',
        'look for the smallest file that loses at most so many points of accuracy on validation data',
        numberWithin(0, 100),
      )
      .option('--seed <n>', "seed, instead of the recipe's", wholeNumber(0))
      .option(
        '--resume <folder>',
        'keeps finished steps and trainings in this folder, and goes on from there after a kill',
      )
      .option('--no-latency', 'do not measure latency')
  },
  async execute([path], options, context) {
    const { signal, progress } = context
    const recipe = await chosenRecipe(options)
    const output = options.output ?? withEnding(path, '.espalier')
    const reportPath = options.report === false ? undefined : (options.report ?? withEnding(output, '.report.html'))
    const outputs = [output, options.onnx, reportPath, options.reportJson].filter((file) => file !== undefined)
    await checkOutputs(outputs, sourceFiles(path, options))
    const { model, fileBytes } = await loadSource(path, options, context)
    const spec = options.data ?? recipe.data
    const data = spec ? await openSplits(withDataOptions(spec, recipe.preprocessing ?? {})) : undefined
    if (options.resume) await makeFolder(options.resume)
    const store = options.resume ? folderStore(options.resume) : undefined
    const result = await runRecipe(model, recipe, {
      engine: onnxruntime,
      data,
      seed: options.seed,
      signal,
      progress: progress.listener,
      store,
      modelName: path.replace(/^.*[/\\]/, ''),
      // A foreign file is no ONNX, and is told apart in the result.
      originalFileBytes: options.from === undefined ? fileBytes : undefined,
      latency: options.latency,
      onStage: (stage) =>
        progress.note(
          `${stage.method}: ${formatRatio(stage.size.ratios.bytes)} smaller in real bytes${stage.accuracy ? `, accuracy ${formatPercent(stage.accuracy.accuracy)}` : ''}, ${formatSeconds(stage.seconds)}`,
        ),
    })
    await writeFileAtomic(output, result.pack)
    if (options.onnx) await writeModelFile(options.onnx, result.model)
    if (reportPath) await writeFileAtomic(reportPath, formatReport(result.report))
    if (options.reportJson) await writeFileAtomic(options.reportJson, formatReportJson(result.report))
    await store?.clear()
    const source = options.from === undefined ? undefined : { file: path, format: options.from, bytes: fileBytes }
    return {
      data: { output, onnx: options.onnx, reportFile: reportPath, source, report: result.report },
      text: formatRun(result.report, outputs) + (source ? sourceText(source, result.pack.length) : ''),
      exitCode: proofExitCode(result.report),
    }
  },
})

/** How the pack compares with the file of another format that it was made from. */
function sourceText({ file, format, bytes }: { file: string; format: string; bytes: number }, pack: number): string {
  const share = formatPercent(pack / bytes, 1)
  return `\n${formatFacts([['made from', `${file}, ${format}, ${formatCount(bytes)} B; the pack is ${share} of it`]])}`
}

/** Trials of a search that the command line asks for, where the recipe says no number. */
const TRIALS = 6

async function chosenRecipe(options: Options): Promise<Recipe> {
  const recipe = await recipeAsWritten(options)
  const { maxLoss } = options
  if (maxLoss === undefined) return recipe
  if (options.data === undefined && recipe.data === undefined)
    throw new UsageError('option', 'what is lost can only be told on data', {
      place: '--max-loss',
      hint: 'Name the data with --data, for example --data images:photos?crop=224&test=0.5.',
    })
  const trials = recipe.budget?.trials ?? TRIALS
  return { ...recipe, budget: { maxAccuracyLoss: maxLoss, trials, push: true } }
}

async function recipeAsWritten({ recipe, step }: Options): Promise<Recipe> {
  if (step && recipe)
    throw new UsageError('option', 'a recipe and steps were given', { place: '--step', hint: 'Give one of the two.' })
  return step ? recipeFromSteps(step) : loadRecipe(recipe ?? defaultRecipe)
}

/** Finished steps as files of a folder; `clear` takes away those that this run read or wrote, and nothing else. */
function folderStore(folder: string): StageStore & { clear(): Promise<void> } {
  const used = new Set<string>()
  const file = (name: string) => join(folder, name)
  return {
    async load(name) {
      try {
        const bytes = await readFile(file(name))
        used.add(file(name))
        return bytes
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
    save: async (name, bytes) => {
      await writeFileAtomic(file(name), bytes)
      used.add(file(name))
    },
    async remove(name) {
      await rm(file(name), { force: true })
      used.delete(file(name))
    },
    async clear() {
      for (const path of used) await rm(path, { force: true })
    },
  }
}
