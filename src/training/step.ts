/**
 * The training step as one ONNX graph: parameters, optimizer state, a batch and a learning rate go in; loss, the number
 * of right answers, and new parameters and state come out.
 */
import { differentiate } from '../autodiff/gradient.ts'
import { lower } from '../autodiff/lower.ts'
import { ModelError, nearestName, UnsupportedError, UsageError } from '../errors.ts'
import { createDraft, type Draft } from '../ir/draft.ts'
import { nodeLabel } from '../ir/graph.ts'
import { operatorKey, type Model, type ValueInfo } from '../ir/model.ts'
import { operators } from '../ir/ops/index.ts'
import { inferShapes, rebatch } from '../ir/shapes.ts'
import { elementCount, float32, int64, zeros, type Tensor } from '../tensor/tensor.ts'
import { freshInput, logitsOf, trainingForward, uniformInput, type RandomInput } from './forward.ts'
import type { Constraint, Memory, Penalty } from './extensions.ts'
import { lift } from './lift.ts'
import { createFlexpoint, formatOf, type FlexpointStep } from './arithmetic/flexpoint.ts'
import { quantizeLayerGradients } from './arithmetic/quantized-gradients.ts'
import { losses } from './losses/index.ts'
import { clipped } from './clipping.ts'
import { optimizerOf } from './optimizers/index.ts'
import type { OptimizerSettings } from './optimizers/optimizer.ts'
import type { TrainingSettings } from './settings.ts'

/** Something that a step replaces: a parameter, a slot of the optimizer, a running statistic, or a memory. */
export interface StepState {
  /** Of what belongs to the model, the initializer's own name. */
  readonly name: string
  readonly initial: Tensor
  /** The graph input and output that hold the value before and after the step. */
  readonly input: string
  readonly output: string
  /** Whether it belongs to the model, and not to the optimizer. */
  readonly ofModel: boolean
}

/** Names of the graph inputs of a step, apart from the state. */
export interface StepInputs {
  readonly images: string
  /** Shape of `images`, whose first axis is the batch. */
  readonly imageShape: readonly number[]
  /** int32, `[N]`. */
  readonly labels: string
  /** float32 scalar. */
  readonly learningRate: string
  /** Number of the update, from 1, a float32 scalar; absent where nobody asks. */
  readonly step?: string
  /** Logits of the teacher, `[N, classes]`. */
  readonly teacher?: string
  readonly random: readonly RandomInput[]
}

export interface TrainingStep {
  /** Contains only standard operators. */
  readonly model: Model
  readonly batchSize: number
  /** Number of outputs that the loss looks at. */
  readonly classes: number
  readonly state: readonly StepState[]
  readonly inputs: StepInputs
  /** Scalars: the mean loss of the batch, penalties included, and the number of examples classified rightly. */
  readonly outputs: { readonly loss: string; readonly correct: string }
}

export interface StepOptions {
  readonly batchSize: number
  readonly parameters: readonly string[]
  readonly settings: Pick<TrainingSettings, 'optimizer' | 'weightDecay' | 'loss' | 'gradientClip'> &
    Partial<Pick<TrainingSettings, 'flexpoint' | 'flexpointExponent' | 'shiftNormalization' | 'gradientBits'>> &
    OptimizerSettings
  /** How many updates the run takes; the warm-up of sparse gradients and extra-gradient ask. */
  readonly totalSteps?: number
  /** Share of the teacher's divergence in the loss, and the softmax temperature of both. */
  readonly teacher?: { readonly weight: number; readonly temperature: number }
  readonly penalties?: readonly Penalty[]
  readonly constraint?: Constraint
  readonly memory?: readonly Memory[]
  /** The output of the model that is trained; default: the first. */
  readonly output?: string
  /** Leaves batch normalization in its inference form. */
  readonly frozenStatistics?: boolean
  readonly threads?: number
  /** Channels a block of the engine's own layout, where it has one; see `Target.block`. */
  readonly block?: number
}

/**
 * Builds the step for one batch size.
 * @throws UsageError when a parameter or a memory is no float32 initializer of the model, or one is both.
 * @throws UnsupportedError when the model cannot be differentiated, naming the node.
 */
export function buildStep(model: Model, options: StepOptions): TrainingStep {
  const { batchSize, parameters, settings, constraint, memory = [] } = options
  checkParameters(model, parameters, memory)
  const flexpoint = settings.flexpoint ? createFlexpoint(formatOf(settings), parameters) : undefined
  const forward = buildForward(model, options, flexpoint)
  const { loss, probes } = forward
  const { model: differentiated, gradients: copied } = differentiate(forward.model, {
    loss,
    parameters,
    inputs: probes,
  })
  const draft = createDraft(differentiated)
  const literal = literals(draft)
  const rounded = (value: string) => flexpoint?.round(draft, value) ?? value
  const raw = new Map(parameters.map((parameter) => [parameter, rounded(uncopied(draft, copied.get(parameter)!))]))
  const gradients = clipped(draft, raw, settings.gradientClip)

  const optimizer = optimizerOf(settings)
  const learningRate = freshInput(draft, 'learning_rate', 'float32', [])
  const asked = optimizer.prepare !== undefined || constraint !== undefined || memory.length > 0
  const step = asked ? freshInput(draft, 'step', 'float32', []) : ''
  const shared = optimizer.prepare?.({ draft, settings, literal, step, totalSteps: options.totalSteps ?? 1 }) ?? {}

  const state: StepState[] = []
  const taken = new Set([...draft.inputs.map(({ name }) => name), ...draft.initializers.keys()])
  const states = (name: string, initial: Tensor, input: string, next: string, ofModel: boolean) => {
    // Outputs must differ from inputs and from each other; only then is a copy made.
    const output = taken.has(next) ? draft.add('Identity', [next], {}, { outputs: [`${name}.next`] }) : next
    taken.add(output)
    state.push({ name, initial, input, output, ofModel })
  }
  const random = [...forward.random]
  const moved = new Map<string, string>()
  for (const parameter of parameters) {
    const initial = model.graph.initializers.get(parameter)!
    const slots = optimizer.slots(settings, initial.shape).map((slot) => {
      return freshInput(draft, `${parameter}.${slot}`, 'float32', initial.shape)
    })
    const gradient = decayed(draft, parameter, gradients.get(parameter)!, initial, settings.weightDecay, literal)
    const next = optimizer.update({
      draft,
      parameter,
      shape: initial.shape,
      gradient,
      slots,
      learningRate,
      shared,
      settings,
      literal,
      noise() {
        const input = freshInput(draft, `${parameter}.noise`, 'float32', initial.shape)
        random.push(uniformInput(input, initial.shape))
        return input
      },
    })
    const constrained = constraint?.(draft, parameter, next.parameter, { learningRate, step }) ?? next.parameter
    const value = rounded(constrained)
    moved.set(parameter, value)
    states(parameter, flexpoint?.start(parameter, initial) ?? initial, parameter, value, true)
    slots.forEach((slot, i) => states(slot, zeros('float32', initial.shape), slot, next.slots[i], false))
  }
  for (const { initializer, next } of forward.statistics)
    states(initializer, model.graph.initializers.get(initializer)!, initializer, next, true)
  for (const { name, next } of memory) {
    const value = next(draft, { parameters: moved, learningRate, step })
    states(name, model.graph.initializers.get(name)!, name, value, true)
  }
  for (const { name, initial, next } of flexpoint?.states(draft, copied, literal) ?? [])
    states(name, initial, name, next, false)

  for (const { name, initial, ofModel } of state) {
    if (!ofModel) continue
    draft.initializers.delete(name)
    draft.inputs.push({ name, type: { dtype: initial.dtype, shape: initial.shape } })
  }
  draft.outputs.length = 0
  draft.output(forward.loss, 'float32', [])
  draft.output(forward.correct, 'float32', [])
  for (const { output, initial } of state) draft.output(output, initial.dtype, initial.shape)

  return {
    model: lower(draft.finish(), {
      backend: 'cpu',
      threads: options.threads ?? 1,
      ...(options.block === undefined ? {} : { block: options.block }),
    }),
    batchSize,
    classes: forward.classes,
    state,
    inputs: {
      images: forward.images,
      imageShape: forward.imageShape,
      labels: forward.labels,
      learningRate,
      ...(asked ? { step } : {}),
      ...(forward.teacher === undefined ? {} : { teacher: forward.teacher }),
      random,
    },
    outputs: { loss: forward.loss, correct: forward.correct },
  }
}

function checkParameters(model: Model, parameters: readonly string[], memory: readonly Memory[]): void {
  if (parameters.length === 0)
    throw new UsageError('no-parameters', 'there is nothing to train: the model has no float parameters', {
      hint: 'Name the initializers that are to be trained.',
    })
  for (const name of [...parameters, ...memory.map((one) => one.name)]) {
    const tensor = model.graph.initializers.get(name)
    if (!tensor) {
      const nearest = nearestName(name, model.graph.initializers.keys())
      throw new UsageError('unknown-parameter', `the model has no initializer '${name}'`, {
        place: name,
        ...(nearest === undefined ? {} : { hint: `Did you mean '${nearest}'?` }),
      })
    }
    if (tensor.dtype !== 'float32')
      throw new UsageError(
        'parameter-type',
        `the parameter '${name}' is ${tensor.dtype}; only float32 can be trained`,
        {
          place: name,
          hint: 'Convert the model to float32 first (toFloat32Model).',
        },
      )
  }
  const both = memory.find(({ name }) => parameters.includes(name))
  if (both)
    throw new UsageError('trained-memory', `the gradient cannot move '${both.name}', which a rule rewrites`, {
      place: both.name,
      hint: 'Leave it out of the parameters.',
    })
}

interface Forward {
  readonly model: Model
  readonly loss: string
  readonly correct: string
  readonly classes: number
  readonly images: string
  readonly imageShape: readonly number[]
  readonly labels: string
  readonly teacher?: string
  readonly statistics: readonly { readonly initializer: string; readonly next: string }[]
  readonly random: readonly RandomInput[]
  /** Further values by which the loss is to be differentiated. */
  readonly probes: readonly string[]
}

/** The forward part in training mode, with loss and number of right answers at its end. */
function buildForward(model: Model, options: StepOptions, flexpoint: FlexpointStep | undefined): Forward {
  const { batchSize, settings } = options
  const concrete = lift(rebatch(model, batchSize))
  const images = concrete.graph.inputs.filter(({ name }) => !concrete.graph.initializers.has(name))
  if (images.length !== 1)
    throw new UnsupportedError('training-inputs', `the model has ${images.length} inputs; one can be trained with`, {
      place: images.map(({ name }) => name).join(', '),
      hint: 'Leave the data out, with a method that needs none.',
    })
  const output = options.output ?? concrete.graph.outputs[0]?.name
  if (output === undefined || !concrete.graph.outputs.some(({ name }) => name === output))
    throw new UsageError('unknown-output', `the model has no output '${output ?? ''}'`, {
      place: output ?? '',
      hint: `Its outputs are ${concrete.graph.outputs.map(({ name }) => `'${name}'`).join(', ')}.`,
    })
  const { draft, statistics, random } = trainingForward(concrete, {
    frozenStatistics: options.frozenStatistics ?? false,
    shiftNormalization: settings.shiftNormalization ?? false,
  })
  const literal = literals(draft)
  const list = (values: readonly number[]) => draft.constant('axes', int64(values))

  const { value } = logitsOf(concrete, output)
  const probes = flexpoint?.activations(draft, concrete, images[0].name, value) ?? []
  const place = { images: images[0].name, logits: value, batchSize }
  const gradientNoise = quantizeLayerGradients(draft, concrete, place, settings)
  const types = inferShapes(concrete)
  const classes = classesOf(types.get(value)?.shape, batchSize, value, concrete)
  const flat = types.get(value)!.shape!.length === 2
  const logits = flat ? value : draft.add('Reshape', [value, list([batchSize, classes])])

  const labels = freshInput(draft, 'labels', 'int32', [batchSize])
  const wide = draft.add('Cast', [labels], { to: 7 })
  const range = draft.constant(
    'classes',
    int64(
      Array.from({ length: classes }, (_, k) => k),
      [1, classes],
    ),
  )
  const targets = draft.add('Cast', [draft.add('Equal', [draft.add('Unsqueeze', [wide, list([1])]), range])], { to: 1 })

  const needsTeacher = losses[settings.loss].needsTeacher
  if (needsTeacher && !options.teacher)
    throw new UsageError('no-teacher', `the loss '${settings.loss}' compares with a teacher, and there is none`, {
      place: 'loss',
      hint: 'Give a teacher model, or choose cross-entropy.',
    })
  const teacher = needsTeacher ? freshInput(draft, 'teacher', 'float32', [batchSize, classes]) : undefined
  const context = {
    draft,
    logits,
    targets,
    temperature: options.teacher?.temperature ?? 1,
    literal,
    list,
    ...(teacher === undefined ? {} : { teacher }),
  }
  const mean = (values: string) => draft.add('ReduceMean', [values, list([0])], { keepdims: 0 })
  let loss = mean(losses[settings.loss].build(context))
  const weight = options.teacher?.weight ?? 1
  if (needsTeacher && weight < 1) {
    const hard = draft.add('Mul', [mean(losses['cross-entropy'].build(context)), literal(1 - weight)])
    loss = draft.add('Add', [draft.add('Mul', [loss, literal(weight)]), hard])
  }
  for (const penalty of options.penalties ?? [])
    loss = draft.add('Add', [loss, penalty(draft, { logits, labels, parameters: options.parameters })])

  const answers = draft.add('ArgMax', [logits], { axis: 1, keepdims: 0 })
  const right = draft.add('Cast', [draft.add('Equal', [answers, wide])], { to: 1 })
  const correct = draft.add('ReduceSum', [right, list([0])], { keepdims: 0 })

  draft.outputs.length = 0
  for (const name of [loss, correct, ...statistics.map(({ next }) => next)]) draft.output(name)
  return {
    model: draft.finish({ keepUnused: true }),
    loss,
    correct,
    classes,
    images: images[0].name,
    imageShape: staticShape(images[0], batchSize),
    labels,
    statistics,
    random: [...random, ...gradientNoise],
    probes,
    ...(teacher === undefined ? {} : { teacher }),
  }
}

function staticShape({ name, type }: ValueInfo, batchSize: number): readonly number[] {
  if (type?.dtype !== 'float32')
    throw new UnsupportedError('input-type', `the input '${name}' is ${type?.dtype ?? 'of unknown type'}`, {
      place: name,
      hint: 'Convert the model to float32 first (toFloat32Model).',
    })
  const shape = type.shape
  if (!shape?.every((size) => typeof size === 'number') || shape[0] !== batchSize)
    throw new UnsupportedError('input-shape', `the input '${name}' is [${shape?.join(', ') ?? 'unknown'}]`, {
      place: name,
      hint: 'Its first axis must be the batch, and all others must have a size (bindDimensions).',
    })
  return shape
}

function classesOf(shape: readonly unknown[] | undefined, batchSize: number, value: string, { graph }: Model): number {
  if (!shape?.every((size) => typeof size === 'number')) {
    const unknown = graph.nodes.find((node) => !operators.has(operatorKey(node)))
    throw new UnsupportedError('logits-shape', `the shape of the output '${value}' cannot be told`, {
      place: unknown ? `${operatorKey(unknown)} '${nodeLabel(unknown)}'` : value,
      hint: unknown
        ? 'This operator is not known, so the model can be run and compressed without retraining, but not trained.'
        : 'An operator in front of it has no shape rule.',
    })
  }
  const count = elementCount(shape)
  if (shape[0] !== batchSize)
    throw new ModelError(
      'logits-shape',
      `the output '${value}' has shape [${shape.join(', ')}] for ${batchSize} examples`,
      {
        place: value,
      },
    )
  return count / batchSize
}

/** L2 penalty: the gradient of weightDecay / 2 · ‖w‖², on parameters of two or more axes only. */
function decayed(
  draft: Draft,
  parameter: string,
  gradient: string,
  { shape }: Tensor,
  weightDecay: number,
  literal: (value: number) => string,
): string {
  if (weightDecay === 0 || shape.length < 2) return gradient
  return draft.add('Add', [gradient, draft.add('Mul', [parameter, literal(weightDecay)])])
}

/** What an Identity copies: gradients are copied to be graph outputs, which they are no longer here. */
function uncopied(draft: Draft, value: string): string {
  const node = draft.nodes.find(({ outputs }) => outputs.includes(value))
  return node?.op === 'Identity' && node.domain === '' ? node.inputs[0] : value
}

/** Float32 scalar constants, one of each value. */
function literals(draft: Draft): (value: number) => string {
  const known = new Map<number, string>()
  return (value) => {
    const name = known.get(value) ?? draft.constant('literal', float32([value], []))
    known.set(value, name)
    return name
  }
}
