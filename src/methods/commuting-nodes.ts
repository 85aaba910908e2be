/**
 * Operators that move values, or take the largest: a rising function of each value can as well be taken before them, and
 * what comes out of them takes no more different values than what went in.
 */
export const commutingNodes: ReadonlySet<string> = new Set([
  'MaxPool',
  'GlobalMaxPool',
  'Flatten',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Dropout',
  'Identity',
])
