import { ternaryNeuralNetworksPaper } from '../../../paper.ts'
import { z } from 'zod'
import { UnsupportedError } from '../../../errors.ts'
import type { Model } from '../../../ir/model.ts'
import { layers, type Layer } from '../../../ir/rewrite.ts'
import { toFloat32 } from '../../../tensor/half.ts'
import { elementCount } from '../../../tensor/tensor.ts'
import { calibrationSet } from '../../calibration.ts'
import { chooseLayers, layerChoiceOptions } from '../../layer-choice.ts'
import { defineMethod, type Context } from '../../method.ts'
import { createPace } from '../../pace.ts'
import { weightRows, type WeightRows } from '../../weight-rows.ts'
import { finiteLayer, isPlainFloat } from '../../weights.ts'
import { observe } from './observations.ts'
import { proveTernary, type Pair, type Scaled } from './proof.ts'
import { teacherOf, withNeurons } from './sites.ts'
import { fitNeurons, fitRows, type LayerOfRows } from './student-layer.ts'

const options = z.strictObject({
  samples: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .default(1024)
    .describe('training examples that layers are looked at on'),
  places: z.number().int().min(1).max(10_000).default(4).describe('places of a map that are looked at, an example'),
  exhaustive: z
    .number()
    .min(0)
    .max(1)
    .default(0.95)
    .describe('share of the largest possible agreement below which a neuron is searched exhaustively'),
  reference: z
    .enum(['teacher', 'student'])
    .default('teacher')
    .describe('whose earlier layers the teacher reads: its own, or those of the student so far'),
  ...layerChoiceOptions,
})
type Options = z.infer<typeof options>

const name = 'ternary-neural-networks'

/**
 * The student of a teacher with ternary activations (`ternary-activations`): layer by layer, neuron by neuron, weights
 * become -1, 0 or 1 and the activation a step with two thresholds b_lo and b_hi, such that the neuron agrees most with
 * what the teacher's puts out by chance, Σ p(the same value) over examples. Its largest positive and
 * largest negative weights are kept; how many of each is searched together with the thresholds, on the inputs that the
 * student's earlier layers give. Biases and batch normalization become part of the thresholds. Between the ternary
 * activations nothing is multiplied; a first layer that reads numbers adds and subtracts these (the paper's images are
 * ternary too: set `ends` of `ternary-activations` for that).
 *
 * Layers without a ternary activation of their own, such as the last one, get ternary weights times a scale an output,
 * and a new bias where they have one: the counts, scale and bias that explain most of the teacher's output by least
 * squares. `exclude` leaves them as they are.
 *
 * Differs from the paper: its program chooses the last layer's counts and integer biases by the labels, one output
 * after the other. The first layers of the teacher put out their most probable value, instead of one by chance.
 */
export const ternaryNeuralNetworks = defineMethod({
  name,
  family: 'quantization',
  summary:
    'Makes neurons of ternary weights and two thresholds do what those of a teacher with ternary activations do.',
  paper: ternaryNeuralNetworksPaper,
  needs: ['calibration-data'],
  options,
  apply: makeStudent,
})

async function makeStudent(model: Model, given: Options, context: Context): Promise<Model> {
  const chosen = chooseLayers(model, given, context)
  // What is wrong with one layer would show in the inputs of the next.
  for (const layer of chosen) if (isPlainFloat(model, layer)) finiteLayer(model, layer)
  calibrationSet(context)
  const teacher = teacherOf(model)
  if (!teacher.ternary)
    throw new UnsupportedError(
      'no-ternary-activations',
      'the model has no ternary activations that a student could learn',
      {
        place: model.graph.name,
        hint: "Run the method 'ternary-activations' first, best with ends: true, and train with it: that makes the teacher.",
      },
    )
  const pace = createPace(context)
  const pairs: Pair[] = []
  const scaled: Scaled[] = []
  let current = model
  for (const [position, layer] of chosen.entries()) {
    const { weight } = layer
    context.signal?.throwIfAborted()
    context.progress?.({ task: name, done: position, total: chosen.length, detail: { layer: layer.name } })
    const rows = rowsOf(model, layer)
    const student = typeof rows === 'string' ? undefined : await observe(current, weight, given, context)
    if (typeof rows === 'string' || !student) {
      context.skip(layer.name, typeof rows === 'string' ? rows : 'what it reads at one place cannot be told')
      continue
    }
    const reads = given.reference === 'teacher' ? await observe(model, weight, given, context) : student
    const weights = toFloat32(model.graph.initializers.get(weight)!)
    const task: LayerOfRows = { rows, weights, student, teacher: reads ?? student, pace }
    const site = teacher.site(layer)
    if (site) {
      const { agreement, most, constant, ...neurons } = await fitNeurons(task, site, given.exhaustive)
      const written = withNeurons(current, site, neurons)
      current = written.model
      pairs.push({ layer: layer.name, teacher: site.output, student: written.output, agreement, most, constant })
    } else {
      const fitted = await fitRows(task, current, weight)
      if (typeof fitted === 'string') context.skip(layer.name, fitted)
      else {
        current = fitted.model
        scaled.push({ layer: layer.name, explained: fitted.explained })
      }
    }
  }
  context.progress?.({ task: name, done: chosen.length, total: chosen.length })
  await proveTernary(name, model, current, pairs, scaled, context)
  return current
}

/** The rows of a layer, one for each output channel; or why there are none. */
function rowsOf(model: Model, layer: Layer): WeightRows | string {
  if (!isPlainFloat(model, layer)) return 'its weights are not plain floats: they were shared or quantized before'
  if (elementCount(model.graph.initializers.get(layer.weight)!.shape) === 0) return 'it has no weights'
  if (layers(model).filter(({ weight }) => weight === layer.weight).length > 1)
    return 'several layers read its weights: neurons could not have thresholds of their own'
  const rows = weightRows(model, layer)
  if (!rows || layer.input !== 1) return 'a Reshape, a batch of matrices or a product from the left hides its neurons'
  if (layer.node.op === 'ConvTranspose') return 'the rows of a transposed convolution are not its output channels'
  return rows
}
