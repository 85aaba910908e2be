/** The decompositions that are compared, and what they are compared with. */
import type { Method } from '../../methods/method.ts'
import { fixedPointFactorization } from '../../methods/factorization/fixed-point-factorization.ts'
import { semiBinaryDecomposition } from '../../methods/factorization/semi-binary-decomposition.ts'
import { binaryWeightNetworks } from '../../methods/quantization/weights/binary-weight-networks.ts'
import { uniform } from '../../methods/quantization/weights/uniform.ts'

/** One method in one orientation, at several numbers of bits. */
export interface Variant {
  readonly name: string
  /** What the figure calls it. */
  readonly label: string
  readonly method: Method
  /** Bits a weight that are asked for, ascending. */
  readonly bits: readonly number[]
  /** Bits of one code at so many bits a weight. */
  codeBits(bits: number): number
  /** Whether factors are fitted on data. Without data nothing can be trained either. */
  readonly byData?: true
  /** Options of the method, without training. */
  options(bits: number): object
}

const all = [1, 2, 3, 4, 6, 8]

/** Calibration examples of the factors that are fitted to outputs. */
export const CALIBRATION_EXAMPLES = 128

export const variants: readonly Variant[] = [
  {
    name: 'semi-binary, weights',
    label: 'semi-binary decomposition, by weights',
    method: semiBinaryDecomposition,
    bits: all,
    codeBits: () => 1,
    options: (bits) => ({ bits, orientation: 'weights' }),
  },
  {
    name: 'semi-binary, feature maps',
    label: 'semi-binary decomposition, by feature maps',
    method: semiBinaryDecomposition,
    bits: all,
    codeBits: () => 1,
    byData: true,
    options: (bits) => ({ bits, orientation: 'feature-maps', samples: CALIBRATION_EXAMPLES, retrain: false }),
  },
  {
    name: 'fixed-point factorization, weights',
    label: 'fixed-point factorization, by weights',
    method: fixedPointFactorization,
    bits: all,
    codeBits: () => 2,
    options: (bits) => ({ bits }),
  },
  {
    name: 'binary',
    label: 'one sign a weight, a scale a filter',
    method: binaryWeightNetworks,
    bits: [1],
    codeBits: () => 1,
    options: () => ({}),
  },
  {
    name: 'uniform',
    label: 'uniform codes, a scale a filter',
    method: uniform,
    bits: all.filter((bits) => bits > 1),
    codeBits: (bits) => bits,
    options: (bits) => ({ bits }),
  },
]
