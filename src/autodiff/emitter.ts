import { ModelError, UnsupportedError } from '../errors.ts'
import { toAttribute, type AttributeValue, type Draft } from '../ir/draft.ts'
import { operatorKey, tensorAttribute, type Attribute, type Node, type TensorType } from '../ir/model.ts'
import type { EmitContext } from '../ir/operator.ts'
import { operators } from '../ir/ops/index.ts'
import { fromNumbers } from '../tensor/elements.ts'
import { elementCount, int64, type Tensor } from '../tensor/tensor.ts'

/** Writes typed nodes into a draft: what gradient rules, function bodies and lowering rules have in common. */
export interface Emitter extends Omit<EmitContext, 'node' | 'inputs'> {
  /** Says the type of a value that no operator record tells, such as an output of another domain's operator. */
  declare(value: string, type: TensorType): string
  /** The type of a value, where it is known. */
  type(value: string): TensorType | undefined
  /** Makes a node known that was put into the draft by other means, so that constants fold through it. */
  produced(node: Node): void
  /** A name that nothing uses yet. */
  fresh(hint: string): string
  /** Names and sources of the nodes that follow: the forward node which they belong to. */
  within(place: string): void
}

export interface EmitterOptions {
  /** Initializers that change between runs, and so are no constants. */
  readonly variables?: ReadonlySet<string>
  /** Gives names to new values where the draft becomes a sub-graph of another graph. */
  readonly outerNames?: (hint: string) => string
}

/** Tensors above this size are not folded: constants that rules ask for are shapes, scales and axes. */
const foldLimit = 4096

/**
 * @param types the types of the values that the draft starts with.
 */
export function createEmitter(
  draft: Draft,
  types: (value: string) => TensorType | undefined,
  { variables = new Set(), outerNames }: EmitterOptions = {},
): Emitter {
  const fresh = outerNames ?? draft.fresh
  const emitted = new Map<string, TensorType>()
  const producers = new Map<string, Node>()
  const produced = (node: Node) => node.outputs.forEach((output) => producers.set(output, node))
  draft.nodes.forEach(produced)
  const folded = new Map<string, Tensor | undefined>()
  const literals = new Map<string, string>()
  let place = 'gradient'

  const type = (value: string) => emitted.get(value) ?? types(value) ?? typeOf(draft.initializers.get(value))

  function known(value: string): TensorType {
    const found = type(value)
    if (!found)
      throw new UnsupportedError('unknown-type', `the type of '${value}' cannot be told`, {
        place,
        hint: 'An operator on the way has no shape rule.',
      })
    return found
  }

  function shape(value: string): readonly number[] {
    const { shape } = known(value)
    if (!shape?.every((size) => typeof size === 'number'))
      throw new UnsupportedError(
        'dynamic-shape',
        `the shape of '${value}' is [${shape?.join(', ') ?? 'unknown'}], but sizes must be numbers here`,
        { place, hint: 'Bind the dynamic dimensions first (bindDimensions).' },
      )
    return shape
  }

  function constant(value: string): Tensor | undefined {
    if (variables.has(value)) return undefined
    const initializer = draft.initializers.get(value)
    if (initializer) return initializer
    if (!folded.has(value)) {
      folded.set(value, undefined)
      folded.set(value, fold(value))
    }
    return folded.get(value)
  }

  function fold(value: string): Tensor | undefined {
    const node = producers.get(value)
    if (!node) return undefined
    if (node.op === 'Constant' && node.domain === '') return constantValue(node)
    const record = operators.get(operatorKey(node))
    const target = type(value)?.shape
    if (!record?.evaluate || !target?.every((size) => typeof size === 'number')) return undefined
    if (elementCount(target) > foldLimit) return undefined
    if (node.op === 'Shape' && node.domain === '') return shapeValue(node)
    const inputs = node.inputs.map((input) => (input === '' ? undefined : constant(input)))
    if (node.inputs.some((input, i) => input !== '' && !inputs[i])) return undefined
    return record.evaluate({ node, inputs })[node.outputs.indexOf(value)]
  }

  function shapeValue(node: Node): Tensor | undefined {
    const source = type(node.inputs[0])?.shape
    if (!source?.every((size) => typeof size === 'number')) return undefined
    const bound = (name: string) => (node.attributes[name] as { value?: number } | undefined)?.value
    return int64((source as number[]).slice(bound('start') ?? 0, bound('end') ?? source.length))
  }

  function emitMany(
    op: string,
    inputs: readonly (string | undefined)[],
    outputs: number,
    attributes: Record<string, AttributeValue> = {},
  ): string[] {
    const dot = op.lastIndexOf('.')
    const domain = dot < 0 ? '' : op.slice(0, dot)
    const name = op.slice(dot + 1)
    const results = draft.addMany(name, inputs, attributes, {
      domain,
      name: `${place}/${name}`,
      outputs: outerNames ? Array.from({ length: outputs }, () => outerNames(`${place}/${name}`)) : outputs,
    })
    const node = draft.nodes.at(-1)!
    produced(node)
    const record = operators.get(op)
    const inferred = record?.infer({
      node,
      inputs: node.inputs.map((input) => (input === '' ? undefined : type(input))),
      constant: (index) => (node.inputs[index] ? constant(node.inputs[index]) : undefined),
    })
    results.forEach((result, i) => inferred?.[i] && emitted.set(result, inferred[i]))
    return results
  }

  const emit: EmitContext['emit'] = (op, inputs, attributes) => emitMany(op, inputs, 1, attributes)[0]

  function literal(value: number | Tensor, like?: string): string {
    const tensor =
      typeof value === 'number'
        ? fromNumbers(like === undefined ? 'float32' : known(like).dtype, [], Float64Array.of(value))
        : value
    const small = elementCount(tensor.shape) <= 16 && tensor.dtype !== 'string'
    const key = `${tensor.dtype}[${tensor.shape.join()}]${small ? (tensor.data as Float32Array).join() : ''}`
    const seen = small ? literals.get(key) : undefined
    if (seen !== undefined) return seen
    const name = draft.constant(outerNames?.('literal') ?? 'literal', tensor)
    if (small) literals.set(key, name)
    return name
  }

  function unbroadcast(value: string, target: readonly number[]): string {
    const from = shape(value)
    const lead = from.length - target.length
    const axes = from.flatMap((size, axis) => (axis < lead || (target[axis - lead] === 1 && size !== 1) ? [axis] : []))
    if (lead < 0 || from.some((size, axis) => !axes.includes(axis) && size !== target[axis - lead]))
      throw new ModelError('unbroadcast', `[${from.join(', ')}] is no broadcast form of [${target.join(', ')}]`, {
        place,
      })
    if (axes.length === 0) return value
    const inner = axes.some((axis) => axis >= lead)
    const sum = emit('ReduceSum', [value, literal(int64(axes))], { keepdims: inner ? 1 : 0 })
    return inner && lead > 0 ? emit('Reshape', [sum, literal(int64(target))]) : sum
  }

  return {
    type,
    shape,
    dtype: (value) => known(value).dtype,
    constant,
    produced,
    fresh,
    emit,
    emitMany,
    literal,
    unbroadcast,
    declare(value, type) {
      emitted.set(value, type)
      return value
    },
    within(next) {
      place = next
    },
  }
}

function typeOf(tensor: Tensor | undefined): TensorType | undefined {
  return tensor && { dtype: tensor.dtype, shape: tensor.shape }
}

/** The tensor that a Constant node stands for, in whichever attribute it is written. */
function constantValue(node: Node): Tensor | undefined {
  const tensor = tensorAttribute(node, 'value')
  if (tensor) return tensor
  const [name, attribute] = (Object.entries(node.attributes)[0] ?? []) as [string?, Attribute?]
  if (name === undefined || attribute === undefined || !/^value_(int|float)s?$/.test(name)) return undefined
  const { value } = toAttribute(attribute) as { value: number | bigint | readonly (number | bigint)[] }
  const list = (Array.isArray(value) ? value : [value]) as (number | bigint)[]
  const size = Array.isArray(value) ? [list.length] : []
  return name.startsWith('value_int')
    ? int64(list, size)
    : fromNumbers('float32', size, Float64Array.from(list, Number))
}
