/** Runs a classifier over batches of examples, whatever shape of input and output it has. */
import type { Engine, Session } from '../engines/engine.ts'
import { UnsupportedError, UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { fromFloat32, toFloat32 } from '../tensor/half.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import { logitsOf } from './forward.ts'

/** What the output of a classifier holds. */
export type OutputForm = 'logits' | 'probabilities' | 'log-probabilities'

export interface Predictor {
  readonly form: OutputForm
  /** The largest number of examples that one run of the model takes; undefined where any number goes. */
  readonly limit: number | undefined
  /**
   * The outputs for examples `[N, ...inputShape]`, as `[N, outputs]` in float32.
   * @param state values of the initializers that were promoted to inputs.
   */
  predict(examples: Tensor<'float32'>, state?: Readonly<Record<string, Tensor>>): Promise<Tensor<'float32'>>
  close(): Promise<void>
}

export interface PredictorOptions {
  /** The output to look at; default: the first. */
  readonly output?: string
  /** Initializers that become graph inputs, to be given with each prediction. */
  readonly promoted?: readonly string[]
  readonly threads?: number
}

/**
 * Makes a model ready for examples of the given shape. The model's input may have another shape with as many elements
 * (`[N, 784, 1]` for `[1, 28, 28]`), a fixed batch size, and float16 or float64 elements.
 * @throws UsageError when the model's input does not fit the examples.
 */
export async function createPredictor(
  model: Model,
  inputShape: readonly number[],
  engine: Engine,
  options: PredictorOptions = {},
): Promise<Predictor> {
  const { graph } = model
  const input = fitInput(model, inputShape)
  const output = options.output ?? graph.outputs[0]?.name
  if (!graph.outputs.some(({ name }) => name === output))
    throw new UsageError('unknown-output', `the model has no output '${output ?? ''}'`, {
      place: output ?? '',
      hint: `Its outputs are ${graph.outputs.map(({ name }) => `'${name}'`).join(', ')}.`,
    })
  const session = await engine.createSession(
    promote(model, options.promoted ?? []),
    options.threads === undefined ? {} : { threads: options.threads },
  )
  return {
    form: logitsOf(model, output).form,
    limit: input.limit,
    predict: (examples, state = {}) => predict(session, input, output, examples, state),
    close: () => session.close(),
  }
}

/** The one input of a classifier, and how examples are fed to it. */
export interface FittedInput {
  readonly name: string
  readonly dtype: 'float32' | 'float16' | 'float64'
  /** The shape for a number of examples. */
  shape(count: number): readonly number[]
  readonly limit: number | undefined
}

/**
 * How a model's input takes examples of the given shape.
 * @throws UsageError when it does not, UnsupportedError where there are several inputs or it is no float.
 */
export function fitInput(model: Model, inputShape: readonly number[]): FittedInput {
  const inputs = model.graph.inputs.filter(({ name }) => !model.graph.initializers.has(name))
  if (inputs.length !== 1)
    throw new UnsupportedError('evaluation-inputs', `the model has ${inputs.length} inputs; a classifier has one`, {
      place: inputs.map(({ name }) => name).join(', '),
    })
  const [{ name, type }] = inputs
  const dtype = type?.dtype ?? 'float32'
  if (dtype !== 'float32' && dtype !== 'float16' && dtype !== 'float64')
    throw new UnsupportedError('input-type', `the input '${name}' is ${dtype}; examples are floats`, { place: name })
  const size = elementCount(inputShape)
  const declared = type?.shape
  const batched = (count: number) => [count, ...inputShape]
  if (!declared) return { name, dtype, shape: batched, limit: undefined }
  const rest = declared.slice(1)
  const fits = () => {
    if (rest.every((dim) => typeof dim === 'number')) return elementCount(rest) === size
    return rest.length === inputShape.length && rest.every((dim, i) => typeof dim !== 'number' || dim === inputShape[i])
  }
  if (declared.length > 0 && fits()) {
    const axes = rest.every((dim) => typeof dim === 'number') ? rest : inputShape
    const limit = typeof declared[0] === 'number' ? declared[0] : undefined
    return { name, dtype, shape: (count) => [count, ...axes], limit }
  }
  // An input without a batch axis, such as [784].
  if (declared.every((dim) => typeof dim === 'number') && elementCount(declared) === size)
    return { name, dtype, shape: () => declared, limit: 1 }
  throw new UsageError(
    'input-shape',
    `the input '${name}' is [${declared.map((dim) => dim ?? '?').join(', ')}], but examples are [${inputShape.join(', ')}]`,
    { place: name, hint: 'Choose the data, or its preprocessing, that the model was made for.' },
  )
}

/** The same model with some initializers as graph inputs instead. */
function promote(model: Model, names: readonly string[]): Model {
  if (names.length === 0) return model
  const { graph } = model
  const initializers = new Map(graph.initializers)
  const inputs = graph.inputs.filter(({ name }) => !names.includes(name))
  for (const name of names) {
    const { dtype, shape } = initializers.get(name)!
    initializers.delete(name)
    inputs.push({ name, type: { dtype, shape } })
  }
  return { ...model, graph: { ...graph, inputs, initializers } }
}

async function predict(
  session: Session,
  input: FittedInput,
  output: string,
  examples: Tensor<'float32'>,
  state: Readonly<Record<string, Tensor>>,
): Promise<Tensor<'float32'>> {
  const count = examples.shape[0]
  const chunk = input.limit ?? count
  const size = count === 0 ? 0 : examples.data.length / count
  let result: Float32Array | undefined
  let width = 0
  for (let start = 0; start < count; start += chunk) {
    const present = Math.min(chunk, count - start)
    let data = examples.data.subarray(start * size, (start + present) * size)
    if (present < chunk) {
      // A fixed batch that does not fill is filled with zeros, whose results are left out.
      const padded = new Float32Array(chunk * size)
      padded.set(data)
      data = padded
    }
    const shape = input.shape(chunk)
    const feeds = { ...state, [input.name]: fromFloat32(input.dtype, shape, data) }
    const values = toFloat32((await session.run(feeds, [output]))[output])
    width = values.length / chunk
    if (!Number.isInteger(width))
      throw new UnsupportedError(
        'output-shape',
        `the output '${output}' has ${values.length} elements for ${chunk} examples`,
        {
          place: output,
        },
      )
    if (present === count) return { dtype: 'float32', shape: [count, width], data: values }
    result ??= new Float32Array(count * width)
    result.set(values.subarray(0, present * width), start * width)
  }
  return { dtype: 'float32', shape: [count, width], data: result ?? new Float32Array(0) }
}
