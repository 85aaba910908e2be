import { rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { Option } from 'commander'
import { z } from 'zod'
import type { DataSplits } from '../../datasets/dataset.ts'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { nearestName, UsageError } from '../../errors.ts'
import { writeModelFile } from '../../formats/onnx/file.ts'
import type { Model } from '../../ir/model.ts'
import { inferShapes, rebatch } from '../../ir/shapes.ts'
import { wanted } from '../../pipelines/recipe.ts'
import type { ProgressListener } from '../../progress.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { evaluate } from '../../training/evaluate.ts'
import { createFileStore } from '../../training/file-store.ts'
import { losses } from '../../training/losses/index.ts'
import { trainingSettings, type TrainingSettings } from '../../training/settings.ts'
import { train as trainModel } from '../../training/train.ts'
import { networks } from '../../zoo/index.ts'
import { defineCommand } from '../command.ts'
import { addDataOption, openSplits } from '../data.ts'
import { checkOutputs, loadModel } from '../files.ts'
import { formatBytes, formatCount, formatPercent, formatSeconds } from '../format.ts'
import { wholeNumber } from '../numbers.ts'
import { describeOptions } from '../schema.ts'
import { formatFacts, formatTable, right } from '../table.ts'

interface Options extends Record<string, unknown> {
  readonly data: string
  readonly output: string
  readonly seed: number
  readonly checkpoint?: string
  readonly teacher?: string
}

/** Trains a network of the zoo, or goes on with a model. */
export const train = defineCommand<Options>({
  name: 'train',
  summary: 'Trains a network of the zoo, or an ONNX model further, and writes it.',
  examples: [
    ['espalier train lenet-5 --data digits --epochs 5 -o lenet.onnx', 'trains from scratch on the built-in digits'],
    ['espalier train lenet.onnx --data mnist:data/mnist --learning-rate 0.001 -o tuned.onnx', 'trains a model further'],
    [
      'espalier train lenet-300-100 --data digits --teacher lenet.onnx --loss kullback-leibler --temperature 2 -o small.onnx',
      'distils: follows the softened answers of another model; the labels count with --teacher-weight below 1',
    ],
  ],
  configure(command) {
    command.argument('<network>', `a network (${[...networks.keys()].join(', ')}), or an .onnx or .espalier file`)
    addDataOption(command, 'what to train on', true)
    command
      .requiredOption('-o, --output <file>', 'the ONNX file to write')
      .option('--seed <n>', 'seed of initial weights and of the order of examples', wholeNumber(0), 1)
      .option('--checkpoint <file>', 'keeps what is needed to go on after a kill here, and goes on from it')
      .option('--teacher <model>', 'an .onnx or .espalier file that --loss kullback-leibler follows')
    for (const { name, description, type, default: value } of describeOptions(trainingSettings)) {
      const takes = / \| |\d/.test(type) && description ? `: ${type.replaceAll(' | ', ', ')}` : ''
      const note = value === undefined ? '' : ` (default: ${value})`
      const placeholder = type === 'boolean' ? '[true|false]' : type === 'list' ? '<a,b>' : '<value>'
      const option = new Option(`--${kebab(name)} ${placeholder}`, `${description || type}${takes}${note}`)
      command.addOption(type === 'boolean' ? option.preset('true') : option)
    }
  },
  async execute([name], options, { signal, progress }) {
    const outputs = [options.output, ...(options.checkpoint === undefined ? [] : [options.checkpoint])]
    await checkOutputs(outputs, options.teacher === undefined ? [] : [options.teacher])
    const settings = settingsFrom(options)
    checkTeacher(settings, options)
    const data = await openSplits(options.data)
    if (data.train.size === 0)
      throw new UsageError('data-split', 'this data has no training part', {
        place: options.data,
        hint: 'Keep some examples out of the test part, as with ?test=0.2.',
      })
    const start = await startingModel(name, data, options.seed, progress.listener)
    const teacher =
      options.teacher === undefined ? undefined : await loadTeacher(options.teacher, start, progress.listener)
    const begin = performance.now()
    const { model, history, steps, epoch } = await trainModel(start, {
      data: data.train,
      ...(data.validation.size > 0 ? { validation: data.validation } : {}),
      settings,
      ...(teacher
        ? { teacher: { model: teacher, temperature: settings.temperature, weight: settings.teacherWeight } }
        : {}),
      engine: onnxruntime,
      seed: options.seed,
      signal,
      progress: progress.listener,
      ...(options.checkpoint ? { checkpoint: { store: createFileStore(options.checkpoint) } } : {}),
    })
    const seconds = (performance.now() - begin) / 1000
    const tested = data.test.size > 0 ? await evaluate(model, data.test, onnxruntime, { signal }) : undefined
    const bytes = await writeModelFile(options.output, model)
    if (options.checkpoint) await rm(options.checkpoint, { force: true })
    const rows = history.map((record) => [
      String(record.epoch),
      record.loss.toFixed(4),
      formatPercent(record.accuracy),
      record.validation ? record.validation.loss.toFixed(4) : '-',
      record.validation ? formatPercent(record.validation.accuracy) : '-',
    ])
    return {
      data: {
        network: name,
        data: options.data,
        settings,
        seed: options.seed,
        steps,
        epoch,
        history,
        ...(tested
          ? { test: { accuracy: tested.accuracy, loss: tested.loss, count: tested.count, correct: tested.correct } }
          : {}),
        seconds,
        output: options.output,
        bytes,
      },
      text: `${formatTable([right('epoch'), right('loss'), right('accuracy'), right('validation loss'), right('validation accuracy')], rows)}\n${formatFacts(
        [
          [
            'test',
            tested
              ? `${formatPercent(tested.accuracy)}, ${formatCount(tested.correct)} of ${formatCount(tested.count)}`
              : 'no test data',
          ],
          ['file', `${options.output}, ${formatBytes(bytes)}`],
          ['time', formatSeconds(seconds)],
        ],
      )}`,
    }
  },
})

/** Options are named as commander names them, which is as the schema does; values are read as YAML would, lists at commas. */
function settingsFrom(options: Options): TrainingSettings {
  const given: Record<string, unknown> = {}
  for (const { name, type } of describeOptions(trainingSettings)) {
    const text = options[name]
    if (typeof text !== 'string') continue
    given[name] = type === 'list' ? text.split(',').map(plainValue) : plainValue(text)
  }
  const result = trainingSettings.safeParse(given)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const meant = wanted(issue)
  throw new UsageError(
    'training-option',
    z
      .prettifyError({ issues: [issue] })
      .replace(/^✖ /, '')
      .split('\n')[0],
    {
      place: `--${kebab(String(issue.path[0]))}`,
      hint: meant === undefined ? 'espalier train --help lists what each option takes.' : `Give ${meant}.`,
    },
  )
}

/** `true`, `false` and numbers as what they are, anything else as text. */
function plainValue(text: string): boolean | number | string {
  if (text === 'true' || text === 'false') return text === 'true'
  return text.trim() !== '' && !Number.isNaN(Number(text)) ? Number(text) : text
}

/** `learningRate` is `--learning-rate`. */
function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** @throws UsageError when there is a teacher that the loss does not look at, or none where it does. */
function checkTeacher({ loss }: TrainingSettings, { teacher }: Options): void {
  const follows = losses[loss].needsTeacher
  if (teacher !== undefined && !follows)
    throw new UsageError('teacher-unused', `the loss '${loss}' does not look at a teacher`, {
      place: '--teacher',
      hint: 'Give --loss kullback-leibler as well, or no teacher.',
    })
  if (teacher === undefined && follows)
    throw new UsageError('no-teacher', `the loss '${loss}' compares with a teacher, and there is none`, {
      place: '--loss',
      hint: 'Name the model to follow with --teacher, or choose cross-entropy.',
    })
}

/** @throws UsageError when the teacher's classes are not as many as the student's. */
async function loadTeacher(path: string, student: Model, progress: ProgressListener): Promise<Model> {
  const { model } = await loadModel(path, progress)
  const [own, wanted] = [model, student].map(classesOf)
  if (own !== undefined && wanted !== undefined && own !== wanted)
    throw new UsageError('class-count', `the teacher has ${own} outputs, but the network ${wanted}`, {
      place: path,
      hint: 'Give a teacher of the same classes.',
    })
  return model
}

/** Numbers that the first output has for one example; undefined where the shape does not tell. */
function classesOf(model: Model): number | undefined {
  const single = rebatch(model, 1)
  const shape = inferShapes(single).get(single.graph.outputs[0]?.name)?.shape
  return shape?.every((size) => typeof size === 'number') ? elementCount(shape) : undefined
}

async function startingModel(name: string, data: DataSplits, seed: number, progress: ProgressListener): Promise<Model> {
  const network = networks.get(name)
  if (network) return network.build({ seed, classes: data.train.classes })
  if (existsSync(name)) return (await loadModel(name, progress)).model
  const near = nearestName(name, networks.keys())
  throw new UsageError('network-name', `there is no network '${name}', and no such file`, {
    place: name,
    hint: near ? `Did you mean ${near}?` : `Networks are ${[...networks.keys()].join(', ')}.`,
  })
}
