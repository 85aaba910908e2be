import type { Draft } from '../ir/draft.ts'
import { float32 } from '../tensor/tensor.ts'

/**
 * The gradients by parameter, scaled down together where their L2 norm is more than `most`: g ← g · min(1, most / ‖g‖).
 * Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (ICML 2013), algorithm 1.
 */
export function clipped(
  draft: Draft,
  gradients: ReadonlyMap<string, string>,
  most: number | undefined,
): ReadonlyMap<string, string> {
  if (most === undefined) return gradients
  const squares = [...gradients.values()].map((gradient) => draft.add('ReduceSumSquare', [gradient], { keepdims: 0 }))
  const norm = draft.add('Sqrt', [squares.length === 1 ? squares[0] : draft.add('Sum', squares)])
  const scalar = (value: number) => draft.constant('clip', float32([value], []))
  const factor = draft.add('Min', [draft.add('Div', [scalar(most), norm]), scalar(1)])
  return new Map([...gradients].map(([parameter, gradient]) => [parameter, draft.add('Mul', [gradient, factor])]))
}
