import type { Histogram, LayerResult, RunReport, SizeMeasure } from '../../src/pipelines/result.ts'
import { sampleSensitivity } from './sample-sensitivity.ts'

/** A report with everything in it, for tests of its forms. `name` stands wherever a model's own words can. */
export function sampleReport(name = ''): RunReport {
  const bell = (width: number, zeros: number, hole: number): Histogram => ({
    from: -0.31,
    to: 0.33,
    zeros,
    counts: Array.from({ length: 48 }, (_, i) => {
      const x = (i - 23.5) / width
      return Math.abs(i - 23.5) < hole ? 0 : Math.round(1000 * Math.exp(-x * x))
    }),
  })
  const size = (weights: number, storage: number, bytes: number, packBytes: number): SizeMeasure => ({
    weights: 266_200,
    weightsKept: Math.round(266_200 / weights),
    storageBytes: Math.round(1_066_440 / storage),
    bitsPerWeight: (8 * 1_066_440) / storage / 266_200,
    packBytes,
    ratios: { weights, storage, bytes },
  })
  const layer = (
    label: string,
    shape: number[],
    density: number,
    bytesAfter: number,
    outputError: number,
  ): LayerResult => ({
    name: label + name,
    op: `Gemm${name}`,
    weight: `${label}.weight${name}`,
    shape,
    parameters: shape[0] * shape[1] + shape[0],
    work: {
      macsBefore: shape[0] * shape[1],
      macsAfter: shape[0] * shape[1],
      energyPjBefore: 700 * shape[0] * shape[1],
      energyPjAfter: 700 * shape[0] * shape[1] * density,
    },
    density,
    bitsPerWeight: (bytesAfter * 8) / (shape[0] * shape[1]),
    bytesBefore: shape[0] * shape[1] * 4,
    bytesAfter,
    outputError,
    before: bell(9, 0, 0),
    after: bell(9, Math.round(shape[0] * shape[1] * (1 - density)), 7),
  })
  const accuracy = (correct: number) => ({
    data: `mnist${name}`,
    count: 10_000,
    correct,
    accuracy: correct / 10_000,
    loss: 0.07,
  })
  return {
    format: 'espalier-report',
    version: 1,
    model: `lenet-300-100${name}`,
    recipe: { name: `deep-compression${name}`, summary: `Prunes, shares and codes.${name}`, seed: 1 },
    files: { originalOnnx: 1_067_312, originalParameters: 1_066_440, onnx: 271_004, pack: 25_697 },
    size: size(12.3, 32.8, 41.5, 25_697),
    accuracy: { before: accuracy(9820), after: accuracy(9835) },
    latency: {
      engine: `onnxruntime${name}`,
      batch: 1,
      runs: 30,
      before: { medianMs: 0.031, lowMs: 0.03, highMs: 0.034 },
      after: { medianMs: 0.032, lowMs: 0.03, highMs: 0.033 },
    },
    work: { macsBefore: 266_200, macsAfter: 133_100, energyPjBefore: 2e8, energyPjAfter: 4e7 },
    stages: [
      {
        method: 'magnitude',
        options: { sparsity: 0.92, rounds: 4 },
        size: size(12.3, 11.1, 12.2, 87_412),
        accuracy: accuracy(9838),
        sensitivity: { ...sampleSensitivity(3, true, name), parts: 'weights' },
        seconds: 41.2,
      },
      {
        method: 'k-means',
        options: { bits: 5, layers: { [`ip1${name}`]: { bits: 6 } } },
        size: size(12.3, 32.8, 39.9, 26_728),
        accuracy: accuracy(9836),
        seconds: 12.9,
      },
      {
        method: `huffman${name}`,
        options: {},
        size: size(12.3, 32.8, 41.5, 25_697),
        accuracy: accuracy(9835),
        seconds: 0.4,
      },
    ],
    layers: [
      layer('ip1', [300, 784], 0.08, 20_113, 0.061),
      layer('ip2', [100, 300], 0.09, 3011, 0.082),
      layer('ip3', [10, 100], 0.26, 402, 0.071),
    ],
    parts: [
      { label: `codes${name}`, bytes: 12_012 },
      { label: 'gaps', bytes: 10_400 },
      { label: 'biases', bytes: 1640 },
      { label: 'codebooks', bytes: 1032 },
      { label: 'graph', bytes: 402 },
      { label: 'header and checksums', bytes: 211 },
    ],
    skipped: [{ layer: `norm${name}`, method: `k-means${name}`, reason: `not among the included layers${name}` }],
    proof: [
      {
        check: 'the pack restores the model bit for bit',
        passed: true,
        detail: `271004 bytes of ONNX, all equal${name}`,
      },
      { check: `the engine runs it${name}`, passed: true, detail: 'onnxruntime' },
      {
        check: "output 'y' against the original's",
        passed: true,
        detail: 'relative error 4.10 %, the same class for 100 %',
      },
    ],
    remarks: [
      `It does not run faster in onnxruntime (1.03 times the time). Pruned weights are zeros in dense tensors.${name}`,
    ],
    budget: {
      maxAccuracyLoss: 0.5,
      met: true,
      accuracyLoss: 0.11,
      strength: 1,
      tried: [{ strength: 1, accuracyLoss: 0.11, packBytes: 25_697 }],
    },
    seconds: 61.3,
  }
}
