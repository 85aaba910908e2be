/** The test vectors of docs/pack.md: small models, and how they are coded. */
import { createDraft } from '../../src/ir/draft.ts'
import type { Model } from '../../src/ir/model.ts'
import { writeModel } from '../../src/formats/onnx/write.ts'
import { writePack } from '../../src/formats/pack/write.ts'
import { createTensor, float32, int64, type Tensor } from '../../src/tensor/tensor.ts'

export interface Vector {
  readonly name: string
  readonly onnx: Uint8Array
  readonly pack: Uint8Array
}

function holding(tensors: Readonly<Record<string, Tensor>>): Model {
  const draft = createDraft()
  draft.output(draft.add('Relu', [draft.input('x', 'float32', [1])]), 'float32', [1])
  for (const [name, tensor] of Object.entries(tensors)) draft.initializers.set(name, tensor)
  return draft.finish({ keepUnused: true })
}

/** Codes of a pruned layer, 8 x 75, by a formula. */
const codes = createTensor(
  'uint8',
  [8, 75],
  Uint8Array.from({ length: 600 }, (_, i) => ((i * i) % 11 === 3 ? 1 + (i % 5) : 0)),
)

/** Signed codes of a layer that follows, 6 x 8, by a formula. */
const otherCodes = createTensor(
  'int8',
  [6, 8],
  Int8Array.from({ length: 48 }, (_, i) => ((i * i) % 7 === 2 ? ((i * 3) % 9) - 4 : 0)),
)

/** Codes without a favourite zero, by a formula. */
const denseCodes = createTensor(
  'uint8',
  [600],
  Uint8Array.from({ length: 600 }, (_, i) => 2 + (((i * i) % 13) % 3)),
)

/** Floats with zeros, by a formula. */
const sparse = float32(
  Float32Array.from({ length: 300 }, (_, i) => (i % 7 === 2 ? (i - 150) / 64 : 0)),
  [10, 30],
)

const few = float32(
  Float32Array.from({ length: 256 }, (_, i) => [0, 0, 0.5, -0.25][(i * 7) % 4]),
  [256],
)

const sorted = float32(Float32Array.from({ length: 160 }, (_, i) => (i - 80) / 32))

/** All vectors, packed now. */
export function packVectors(): Vector[] {
  const vector = (name: string, model: Model, coding?: string): Vector => ({
    name,
    onnx: writeModel(model),
    pack: writePack(model, { coding }),
  })
  return [
    vector('no tensor', holding({})),
    vector('small constants (kind 0, text)', holding({ shape: int64([1, -1]), bias: float32([0.5, -0.25, 0.5]) })),
    ...[
      'bits',
      'huffman',
      'relative',
      'relative-huffman',
      'adaptive',
      'mixing',
      'rans',
      'csr',
      'csc',
      'exp-golomb',
    ].map((coding) => vector(`codes (kind 2, ${coding})`, holding({ codes }), coding)),
    vector('dense codes (kind 2, huffman)', holding({ codes: denseCodes }), 'huffman'),
    vector(
      'codes of two tensors, together (kind 6, predictive)',
      holding({ codes, 'other codes': otherCodes }),
      'predictive',
    ),
    vector('few values (kind 3)', holding({ few }), 'adaptive'),
    vector('sparse floats (kinds 4 and 1)', holding({ sparse }), 'huffman'),
    vector('sorted floats (kind 5)', holding({ sorted })),
  ]
}

function hex(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return (digits.match(/.{1,100}/g) ?? []).join('\n')
}

/** The section of docs/pack.md, from its marker to the end of the file. */
export function vectorSection(): string {
  return packVectors()
    .map(
      ({ name, onnx, pack }) =>
        `### ${name}\nONNX file, ${onnx.length} bytes, and pack, ${pack.length} bytes:\n\`\`\`\n${hex(onnx)}\n\`\`\`\n\`\`\`\n${hex(pack)}\n\`\`\`\n`,
    )
    .join('\n')
}

/** The vectors that a text in the form of `vectorSection` holds. */
export function parseVectors(text: string): Vector[] {
  const bytes = (digits: string) => new Uint8Array(Buffer.from(digits.replaceAll(/\s/g, ''), 'hex'))
  return [...text.matchAll(/^### (.+)\n.*\n```\n([\s\S]*?)```\n```\n([\s\S]*?)```/gm)].map((match) => ({
    name: match[1],
    onnx: bytes(match[2]),
    pack: bytes(match[3]),
  }))
}
