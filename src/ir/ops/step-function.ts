import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { broadcastStrides, walk } from '../../tensor/shape.ts'
import { createTensor, elementCount, float32, type Tensor } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { nodeError } from '../families/axes.ts'
import { noise } from '../families/noise.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN, stringAttribute } from '../model.ts'
import { defineOperator, type EmitContext, type GradientContext } from '../operator.ts'

/** Up to so many thresholds are compared one by one; a larger power of two less one is searched by halves. */
const fewThresholds = 15

/**
 * levels[number of thresholds below x]: x of any shape, thresholds [m] ascending, or [m, ...] of which each broadcasts
 * to x, levels [m + 1], all of the type of x; m is 1 to 255. What is not a number gets the lowest level.
 *
 * The attribute `gradient` says what the backward pass takes the slope to be; thresholds and levels get none:
 * - `clipped` (the default): 1 where thresholds[0] < x <= levels[m];
 * - `vanilla`: 1 where thresholds[0] < x;
 * - `log-tailed`: the same up to levels[m], and tail / (x - levels[m] + tail) above it; the scalar `tail` is the fourth
 *   input, 1 where there is none;
 * - `hard-tanh`: 1 where |x| <= 1, for levels from -1 to 1.
 *
 * The first three are the backward approximations of the ReLU of Cai et al. 2017 (arXiv 1702.00953), section 4.
 */
export const stepFunction = defineOperator({
  type: 'StepFunction',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Gives the level that belongs to the number of thresholds below each element, with a gradient of choice.',
  infer: ({ node, inputs: [x, thresholds, levels] }) => {
    const [count, values] = [thresholds?.shape?.[0], levels?.shape?.[0]]
    if (typeof count === 'number' && (count < 1 || count > 255))
      throw nodeError(node, 'step-thresholds', `thresholds are 1 to 255, not ${count}`)
    if (typeof count === 'number' && typeof values === 'number' && values !== count + 1)
      throw nodeError(node, 'step-levels', `${count} thresholds take ${count + 1} levels, not ${values}`)
    return [x]
  },
  evaluate: ({ inputs: [x, thresholds, levels] }) => {
    const [numbers, values] = [toNumbers(x!), toNumbers(levels!)]
    const codes = new Uint8Array(numbers.length)
    const dense = broadcastStrides(x!.shape, x!.shape)
    for (let i = 0; i < values.length - 1; i++) {
      const threshold = entry(thresholds!, i)
      const at = toNumbers(threshold)
      walk(x!.shape, dense, broadcastStrides(threshold.shape, x!.shape), (index, _, from) => {
        if (numbers[index] > at[from]) codes[index]++
      })
    }
    return [
      fromNumbers(
        x!.dtype,
        x!.shape,
        Float64Array.from(codes, (code) => values[code]),
      ),
    ]
  },
  gradient: (context) => [context.emit('Mul', [context.outputGradients[0], slope(context)])],
  body: (context) => {
    const { inputs, shape, constant } = context
    const [thresholds, levels] = [inputs[1]!, inputs[2]!]
    const count = shape(levels)[0] - 1
    const searched = count > fewThresholds && shape(thresholds).length === 1 && Number.isInteger(Math.log2(count + 1))
    const code = searched ? searchedCode(context, count) : countedCode(context, count)
    const grid = constant(levels) && evenly(constant(levels)!)
    return [grid ? onGrid(context, code, grid) : fromBook(context, code, levels)]
  },
  samples: [
    {
      name: 'three thresholds',
      inputs: [float32([-1, 0, 0.01, 0.5, 0.75, 0.8, 1.3, 9]), float32([0, 0.75, 1.25]), float32([0, 0.5, 1, 2])],
      gradientOf: [],
    },
    { name: 'one', inputs: [spread([2, 3]), float32([0]), float32([0, 0.8])], gradientOf: [] },
    {
      name: 'thresholds of their own for each channel',
      inputs: [spread([2, 3, 2]), noise(1, [1, 3, 1]), float32([-1, 1])],
      attributes: { gradient: 'hard-tanh' },
      gradientOf: [],
    },
    {
      name: 'many',
      inputs: [
        spread([4, 9], -3, 35),
        float32(Float32Array.from({ length: 31 }, (_, i) => i)),
        float32(Float32Array.from({ length: 32 }, (_, i) => i * i)),
      ],
      attributes: { gradient: 'log-tailed' },
      gradientOf: [],
    },
  ],
})

function slope(context: GradientContext): string {
  const { node, inputs, emit, literal, dtype } = context
  const [x, thresholds, levels] = inputs as readonly [string, string, string]
  const passes = (condition: string) => emit('Cast', [condition], { to: elementType(dtype(x)) })
  const above = () => emit('Greater', [x, entryOf(context, thresholds, 0)])
  const highest = () => entryOf(context, levels, context.shape(levels)[0] - 1)
  switch (stringAttribute(node, 'gradient', 'clipped')) {
    case 'clipped':
      return passes(emit('And', [above(), emit('LessOrEqual', [x, highest()])]))
    case 'vanilla':
      return passes(above())
    case 'log-tailed': {
      const tail = inputs[3] ?? literal(1, x)
      const beyond = emit('Relu', [emit('Sub', [x, highest()])])
      return emit('Mul', [passes(above()), emit('Div', [tail, emit('Add', [beyond, tail])])])
    }
    case 'hard-tanh':
      return passes(emit('LessOrEqual', [emit('Abs', [x]), literal(1, x)]))
    default:
      throw nodeError(node, 'step-gradient', 'its gradient is none of clipped, vanilla, log-tailed, hard-tanh')
  }
}

/** A code of each element, and the type that it has so far. */
interface Code {
  readonly value: string
  readonly dtype: 'float32' | 'bool' | 'int32'
}

/** How many thresholds lie below: one comparison each. Sums of ones are exact in float32, which engines add fastest. */
function countedCode(context: EmitContext, count: number): Code {
  const { inputs, emit } = context
  const compare = (i: number) => emit('Greater', [inputs[0], entryOf(context, inputs[1]!, i)])
  if (count === 1) return { value: compare(0), dtype: 'bool' }
  const one = (i: number) => emit('Cast', [compare(i)], { to: elementType('float32') })
  let value = one(0)
  for (let i = 1; i < count; i++) value = emit('Add', [value, one(i)])
  return { value, dtype: 'float32' }
}

/** The same by halves: each round settles a bit of the code, the highest first. */
function searchedCode(context: EmitContext, count: number): Code {
  const { inputs, emit, literal } = context
  const [x, thresholds] = inputs as readonly [string, string]
  const whole = (value: number) => literal(createTensor('int32', [], Int32Array.of(value)))
  const bit = (threshold: string) => emit('Cast', [emit('Greater', [x, threshold])], { to: elementType('int32') })
  const half = (count + 1) / 2
  let value = emit('Mul', [bit(entryOf(context, thresholds, half - 1)), whole(half)])
  for (let quarter = half / 2; quarter > 1; quarter /= 2) {
    const threshold = emit('Gather', [thresholds, emit('Add', [value, whole(quarter - 1)])], { axis: 0 })
    value = emit('Add', [value, emit('Mul', [bit(threshold), whole(quarter)])])
  }
  return { value: emit('Add', [value, bit(emit('Gather', [thresholds, value], { axis: 0 }))]), dtype: 'int32' }
}

interface Grid {
  /** In the type of the levels. */
  readonly step: Tensor
  readonly zeroPoint: number
}

/** The step and the code of 0 where levels are exact multiples of a step in the order of their codes. */
function evenly(levels: Tensor): Grid | undefined {
  const values = toNumbers(levels)
  const zeroPoint = values.indexOf(0)
  if (zeroPoint < 0 || levels.dtype === 'float64') return undefined
  const step = zeroPoint + 1 < values.length ? values[zeroPoint + 1] : -values[zeroPoint - 1]
  const multiples = toNumbers(
    fromNumbers(
      levels.dtype,
      levels.shape,
      values.map((_, code) => (code - zeroPoint) * step),
    ),
  )
  if (!(step > 0) || values.some((value, i) => value !== multiples[i])) return undefined
  return { step: fromNumbers(levels.dtype, [], [step]), zeroPoint }
}

/** Integer codes as every runtime knows them. */
function onGrid({ emit, literal }: EmitContext, { value }: Code, { step, zeroPoint }: Grid): string {
  const code = emit('Cast', [value], { to: elementType('uint8') })
  const zero = zeroPoint === 0 ? [] : [literal(createTensor('uint8', [], Uint8Array.of(zeroPoint)))]
  return emit('DequantizeLinear', [code, literal(step), ...zero])
}

function fromBook({ emit }: EmitContext, { value, dtype }: Code, levels: string): string {
  const code = dtype === 'int32' ? value : emit('Cast', [value], { to: elementType('int32') })
  return emit('Gather', [levels, code], { axis: 0 })
}

/** Entry `index` of the first axis: a constant of its own where the value is one. */
function entryOf({ constant, emit, literal }: EmitContext, value: string, index: number): string {
  const tensor = constant(value)
  if (tensor) return literal(entry(tensor, index))
  return emit('Gather', [value, literal(createTensor('int32', [], Int32Array.of(index)))], { axis: 0 })
}

function entry(tensor: Tensor, index: number): Tensor {
  const shape = tensor.shape.slice(1)
  const size = elementCount(shape)
  return fromNumbers(tensor.dtype, shape, toNumbers(tensor).subarray(index * size, (index + 1) * size))
}
