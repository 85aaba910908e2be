/** Small models that between them need every kind of content and every unusual place of a tensor. */
import { createDraft } from '../../src/ir/draft.ts'
import type { Graph, Model } from '../../src/ir/model.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { createTensor, float32, int64, scalar, type Tensor } from '../../src/tensor/tensor.ts'

function normal(seed: number, shape: readonly number[], density = 1): Tensor<'float32'> {
  const random = createRandom(seed)
  const count = shape.reduce((product, size) => product * size, 1)
  return float32(
    Float32Array.from({ length: count }, () => (random.uniform() < density ? random.normal() : 0)),
    shape,
  )
}

function holding(tensors: Readonly<Record<string, Tensor>>, metadata: Readonly<Record<string, string>> = {}): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 4])
  draft.output(draft.add('Relu', [x]), 'float32', ['N', 4])
  for (const [name, tensor] of Object.entries(tensors)) draft.initializers.set(name, tensor)
  for (const [key, value] of Object.entries(metadata)) draft.metadata.set(key, value)
  return draft.finish({ keepUnused: true })
}

/** Floats of every representation. */
function floats(): Model {
  const random = createRandom(11)
  const values = Float32Array.from({ length: 15 }, () => random.normal())
  const few = Float32Array.from({ length: 2000 }, () =>
    random.uniform() < 0.7 ? 0 : values[random.integer(values.length)],
  )
  const bits = Uint32Array.from({ length: 400 }, () => random.bits())
  bits.set([0x80000000, 0x7fc00001, 0xffc0dead, 0x7f800000, 0xff800000, 1, 0x80000001])
  const halves = Uint16Array.from({ length: 900 }, () => 0x3000 + random.integer(0x1000))
  return holding({
    dense: normal(1, [20, 30]),
    sparse: normal(2, [30, 40], 0.1),
    few: float32(few, [10, 5, 5, 8]),
    'NaN payloads and -0': float32(new Float32Array(bits.buffer), [400]),
    sorted: float32(Float32Array.from({ length: 300 }, () => random.normal()).sort()),
    constant: float32(new Float32Array(500).fill(-1.5), [500]),
    zero: float32(new Float32Array(700), [7, 100]),
    'one not zero': float32(
      new Float32Array(600).map((_, i) => (i === 77 ? 3 : 0)),
      [600],
    ),
    half: createTensor('float16', [900], halves),
    'half, many of few': createTensor(
      'float16',
      [30, 30],
      halves.map((_, i) => halves[i % 7]),
    ),
    bfloat: createTensor('bfloat16', [900], halves),
    double: createTensor(
      'float64',
      [100],
      Float64Array.from({ length: 100 }, () => random.normal()),
    ),
    complex: createTensor(
      'complex64',
      [100],
      Float32Array.from({ length: 200 }, () => random.normal()),
    ),
    float8: createTensor(
      'float8e4m3fn',
      [1000],
      Uint8Array.from({ length: 1000 }, () => random.integer(90)),
    ),
  })
}

/** Integers, small and large, packed ones with odd counts, booleans and strings. */
function integers(): Model {
  const random = createRandom(12)
  const ints = (count: number, low: number, high: number) =>
    Array.from({ length: count }, () => low + random.integer(high - low))
  return holding({
    codes: createTensor(
      'uint8',
      [30, 40],
      Uint8Array.from(ints(1200, 0, 8), (v) => (v > 3 ? 0 : v)),
    ),
    'no codes': createTensor('int8', [30, 4000], new Int8Array(120_000)),
    'wide codes': createTensor('uint16', [1000], Uint16Array.from(ints(1000, 0, 3000))),
    signed: createTensor('int8', [1000], Int8Array.from(ints(1000, -128, 128))),
    int16: createTensor('int16', [1000], Int16Array.from(ints(1000, -32768, 32768))),
    int32: createTensor('int32', [1000], Int32Array.from(ints(1000, -(2 ** 31), 2 ** 31))),
    'small int32': createTensor('int32', [1000], Int32Array.from(ints(1000, -50, 50))),
    'small int64': int64(ints(1000, -50, 50)),
    'large int64': createTensor(
      'int64',
      [200],
      BigInt64Array.from({ length: 200 }, () => BigInt.asIntN(64, (BigInt(random.bits()) << 32n) | 7n)),
    ),
    'small uint64': createTensor('uint64', [100], BigUint64Array.from(ints(100, 0, 200), BigInt)),
    'uint64 above 2^31': createTensor('uint64', [100], new BigUint64Array(100).fill(2n ** 31n)),
    int4: createTensor(
      'int4',
      [1201],
      Uint8Array.from(ints(601, 0, 256), (v, i) => (i === 600 ? v & 15 : v)),
    ),
    'int4 with a full last byte': createTensor('int4', [1201], new Uint8Array(601).fill(0x9a)),
    uint4: createTensor('uint4', [50, 40], Uint8Array.from(ints(1000, 0, 256))),
    bool: createTensor('bool', [900], Uint8Array.from(ints(900, 0, 2))),
    text: createTensor('string', [3], ['α', '', 'a longer one']),
    scalar: scalar('int64', -1),
    empty: createTensor('float32', [0, 5], new Float32Array(0)),
  })
}

/** Tensors in attributes, sub-graphs and functions, with names that return in other scopes. */
function places(): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 8])
  const inner = (seed: number): Graph => ({
    name: 'branch',
    nodes: [{ name: 'n', op: 'MatMul', domain: '', inputs: [x, 'w'], outputs: ['y'], attributes: {} }],
    inputs: [],
    outputs: [{ name: 'y', type: { dtype: 'float32', shape: ['N', 40] } }],
    initializers: new Map([['w', normal(seed, [8, 40])]]),
    values: [],
  })
  draft.initializers.set('w', normal(5, [8, 40]))
  const condition = draft.add('Constant', [], { value: scalar('bool', true) })
  const branched = draft.add('If', [condition], { then_branch: inner(6), else_branch: inner(7) })
  const large = draft.add('Constant', [], { value: normal(8, [40, 40], 0.2) })
  const own = draft.add('Scaled', [draft.add('MatMul', [branched, large])], {}, { domain: 'own' })
  draft.output(draft.add('Add', [own, draft.add('MatMul', [x, 'w'])]), 'float32', ['N', 40])
  const model = draft.finish()
  const constant = { kind: 'tensor', value: normal(9, [40]) } as const
  return {
    ...model,
    doc: 'tensors in unusual places',
    functions: [
      {
        name: 'Scaled',
        domain: 'own',
        inputs: ['a'],
        outputs: ['b'],
        attributes: [],
        attributeDefaults: {},
        nodes: [
          { name: 'c', op: 'Constant', domain: '', inputs: [], outputs: ['s'], attributes: { value: constant } },
          { name: 'm', op: 'Mul', domain: '', inputs: ['a', 's'], outputs: ['b'], attributes: {} },
        ],
        opsets: new Map([['', 21]]),
      },
    ],
  }
}

/** What Deep Compression leaves: codes with zeros, and a codebook that begins with 0. */
export function sharedWeights(metadata: Readonly<Record<string, string>> = {}): Model {
  const random = createRandom(13)
  const codebook = Float32Array.from({ length: 32 }, () => random.normal() * 0.1).sort()
  codebook.copyWithin(1, 0, 31)
  codebook[0] = 0
  const indices = Uint8Array.from({ length: 30_000 }, () => (random.uniform() < 0.08 ? 1 + random.integer(31) : 0))
  return holding(
    { 'fc.indices': createTensor('uint8', [100, 300], indices), 'fc.codebook': float32(codebook) },
    metadata,
  )
}

/** Pruned and shared layers of very different sizes: enough symbols for threads. */
export function sparseLayers(): Model {
  const random = createRandom(17)
  const layer = (rows: number, columns: number) =>
    createTensor(
      'int8',
      [rows, columns],
      Int8Array.from({ length: rows * columns }, () => (random.uniform() < 0.05 ? random.integer(31) - 15 : 0)),
    )
  return holding({
    'layer 0': layer(100, 100),
    'layer 1': layer(300, 500),
    'layer 2': layer(64, 9),
    'layer 3': layer(200, 400),
    'layer 4': float32(Float32Array.from({ length: 3000 }, () => random.normal())),
    'layer 5': layer(250, 200),
  })
}

/** Name and model of each. */
export const packModels: ReadonlyMap<string, Model> = new Map([
  ['floats', floats()],
  ['integers', integers()],
  ['places', places()],
  ['shared weights', sharedWeights()],
  ['nothing', holding({})],
])
