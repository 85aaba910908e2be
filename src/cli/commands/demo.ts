import { join } from 'node:path'
import { openData } from '../../datasets/open.ts'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { writeFileAtomic } from '../../formats/files.ts'
import { writeModelFile } from '../../formats/onnx/file.ts'
import { formatReport, formatReportJson } from '../../pipelines/report.ts'
import { runRecipe } from '../../pipelines/run.ts'
import { evaluate } from '../../training/evaluate.ts'
import { trainingSettings } from '../../training/settings.ts'
import { train } from '../../training/train.ts'
import { networks } from '../../zoo/index.ts'
import { defineCommand } from '../command.ts'
import { makeFolder } from '../files.ts'
import { formatPercent, formatRatio, formatSeconds } from '../format.ts'
import { wholeNumber } from '../numbers.ts'
import { loadRecipe } from '../recipes.ts'
import { formatRun, proofExitCode } from '../result-text.ts'

/** What is demonstrated: names of records, and how the network is trained. */
const shown = {
  network: 'lenet-5',
  data: 'digits',
  recipe: 'deep-compression',
  training: { epochs: 3, batchSize: 64, optimizer: 'adam', learningRate: 0.001, schedule: 'cosine' },
} as const

/** The whole way on a small network: trained, compressed, proven, reported. */
export const demo = defineCommand<{ out: string; seed: number }>({
  name: 'demo',
  summary: `Trains ${shown.network} on ${shown.data}, compresses it by ${shown.recipe}, and leaves model, pack and report.`,
  examples: [['espalier demo', 'takes under three minutes on two cores; look at out/demo/report.html afterwards']],
  configure(command) {
    command
      .option('--out <folder>', 'where the files go', 'out/demo')
      .option('--seed <n>', 'seed of everything', wholeNumber(0), 1)
  },
  async execute(_args, { out, seed }, { signal, progress }) {
    const begin = performance.now()
    await makeFolder(out)
    const data = await openData(shown.data)
    const recipe = await loadRecipe(shown.recipe)
    const untrained = networks.get(shown.network)!.build({ seed, classes: data.train.classes })
    progress.note(`training ${shown.network} on ${data.train.size} ${shown.data}`)
    const { model } = await train(untrained, {
      data: data.train,
      validation: data.validation,
      settings: trainingSettings.parse(shown.training),
      engine: onnxruntime,
      seed,
      signal,
      progress: progress.listener,
    })
    const { accuracy } = await evaluate(model, data.test, onnxruntime, { signal })
    progress.note(`trained: ${formatPercent(accuracy)} on ${data.test.size} test images; now ${shown.recipe}`)
    const result = await runRecipe(model, recipe, {
      engine: onnxruntime,
      data,
      seed,
      signal,
      progress: progress.listener,
      modelName: shown.network,
      onStage: (stage) =>
        progress.note(
          `${stage.method}: ${formatRatio(stage.size.ratios.bytes)} smaller in real bytes, accuracy ${stage.accuracy ? formatPercent(stage.accuracy.accuracy) : '-'}, ${formatSeconds(stage.seconds)}`,
        ),
    })
    const file = (name: string) => join(out, name)
    await writeModelFile(file('model.onnx'), result.model)
    await writeFileAtomic(file('model.espalier'), result.pack)
    await writeFileAtomic(file('report.html'), formatReport(result.report))
    await writeFileAtomic(file('report.json'), formatReportJson(result.report))
    const files = ['model.onnx', 'model.espalier', 'report.html', 'report.json'].map(file)
    const seconds = (performance.now() - begin) / 1000
    return {
      data: { network: shown.network, data: shown.data, recipe: shown.recipe, seconds, files, report: result.report },
      text: `${formatRun(result.report, files)}\ndone in ${formatSeconds(seconds)}, training included\n`,
      exitCode: proofExitCode(result.report),
    }
  },
})
