import { elementCount, float32 } from '../../../tensor/tensor.ts'
import { axisOf, defineCaffeLayer, unsupported } from '../layer.ts'

/** As many bottoms as there can be. */
const ANY = Number.POSITIVE_INFINITY

export const concat = defineCaffeLayer({
  type: 'Concat',
  options: 'concat_param',
  bottoms: [1, ANY],
  build(context) {
    const { options, inputs, emit } = context
    const first = inputs[0].shape
    const axis = axisOf(context, options.number('axis') ?? options.number('concat_dim') ?? 1, first.length)
    const fits = (shape: readonly number[]) =>
      shape.length === first.length && shape.every((size, i) => i === axis || size === first[i])
    const other = inputs.find(({ shape }) => !fits(shape))
    if (other)
      throw unsupported(
        context,
        `joins blobs of [${first.join(', ')}] and [${other.shape.join(', ')}]`,
        'Check the layers before it.',
      )
    const total = inputs.reduce((sum, { shape }) => sum + shape[axis], 0)
    const values = inputs.map(({ value }) => value)
    return { value: emit('Concat', values, { axis }), shape: first.map((size, i) => (i === axis ? total : size)) }
  },
})

export const eltwise = defineCaffeLayer({
  type: 'Eltwise',
  options: 'eltwise_param',
  ignored: ['stable_prod_grad'],
  bottoms: [2, ANY],
  build(context) {
    const { layer, options, inputs, draft, emit } = context
    const operation = options.text('operation') ?? 'SUM'
    const coefficients = options.numbers('coeff')
    const { shape } = inputs[0]
    if (inputs.some((blob) => String(blob.shape) !== String(shape)))
      throw unsupported(context, 'reads blobs of different shapes', 'Check the layers before it.')
    const sum = operation === 'SUM' || operation === '1'
    if (coefficients.length > 0 && (coefficients.length !== inputs.length || !sum))
      throw unsupported(context, `has ${coefficients.length} coefficients`, 'Give one for each bottom of a sum.')
    const values = inputs.map(({ value }, i) => {
      const factor = coefficients[i] ?? 1
      if (factor === 1) return value
      const constant = draft.constant(`${layer.name}.coeff`, float32([factor], []))
      return draft.add('Mul', [value, constant], {}, { name: `${layer.name}.scaled` })
    })
    if (operation === 'MAX' || operation === '2') return { value: emit('Max', values), shape }
    if (!sum && operation !== 'PROD' && operation !== '0')
      throw unsupported(context, `joins by ${operation}`, 'Only SUM, PROD and MAX are supported.')
    const op = sum ? 'Add' : 'Mul'
    const last = values.pop()!
    const before = values.reduce((joined, value) => draft.add(op, [joined, value], {}, { name: `${layer.name}.part` }))
    return { value: emit(op, [before, last]), shape }
  },
})

/** [N, ...] -> [N, all the rest]. */
export const flatten = defineCaffeLayer({
  type: 'Flatten',
  options: 'flatten_param',
  build(context) {
    const [{ value, shape }] = context.inputs
    const [axis, end] = [context.options.number('axis') ?? 1, context.options.number('end_axis') ?? -1]
    if (axis !== 1 || (end !== -1 && end !== shape.length - 1) || shape.length < 2)
      throw unsupported(context, 'flattens some axes only', 'Only all axes behind the batch are supported.')
    return { value: context.emit('Flatten', [value]), shape: [shape[0], elementCount(shape.slice(1))] }
  },
})
