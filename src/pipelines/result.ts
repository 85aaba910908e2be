/** What a run leaves besides the model: plain data, the JSON form of the report. */
import type { ProofCheck, Sensitivity } from '../methods/method.ts'

/** The three ratios that every report prints side by side, as before over after: larger is smaller. */
export interface Ratios {
  /** Weights of the layers, over those that are not zero. */
  readonly weights: number
  /** Bytes of the original's parameters, over the arithmetic of codes, relative indices and codebooks. */
  readonly storage: number
  /** Bytes of the original's parameters, over the length of the pack that was written, graph and all. */
  readonly bytes: number
}

export interface SizeMeasure {
  /** Weights of the layers, without biases: what a pruner may remove. */
  readonly weights: number
  readonly weightsKept: number
  /** The arithmetic of the literature: codes, relative indices (8 bits for convolutions, 5 for dense layers), codebooks. */
  readonly storageBytes: number
  /** Bits of storage a weight, with all that is not a weight: scales, codebooks, biases, first and last layers. */
  readonly bitsPerWeight: number
  /** The length of the pack. */
  readonly packBytes: number
  readonly ratios: Ratios
}

export interface AccuracyMeasure {
  /** The data set it was measured on. */
  readonly data: string
  readonly count: number
  readonly correct: number
  /** In [0, 1]. */
  readonly accuracy: number
  readonly loss: number
}

/** A model's state after a step of the recipe. */
export interface StageResult {
  readonly method: string
  readonly options: unknown
  readonly size: SizeMeasure
  readonly accuracy?: AccuracyMeasure
  /** How sensitive the layers were before the step, where it has measured that. */
  readonly sensitivity?: Sensitivity
  readonly seconds: number
}

export interface Skipped {
  readonly layer: string
  readonly method: string
  readonly reason: string
}

export interface LatencyMeasure {
  readonly medianMs: number
  /** The quartiles. */
  readonly lowMs: number
  readonly highMs: number
}

export interface LatencyComparison {
  readonly engine: string
  readonly batch: number
  readonly runs: number
  readonly before: LatencyMeasure
  readonly after: LatencyMeasure
}

/** Counts over equal steps from `from` to `to`. */
export interface Histogram {
  readonly from: number
  readonly to: number
  readonly counts: readonly number[]
  /** Weights that are exactly zero; they are in no bar. */
  readonly zeros: number
}

/** What one example takes, before and after. */
export interface WorkComparison {
  /** Multiply-accumulates of the shapes, those with zero weights among them. */
  readonly macsBefore: number
  readonly macsAfter: number
  /** Picojoules, as estimated by `hardware/energy.ts` for a machine that skips zero weights. */
  readonly energyPjBefore: number
  readonly energyPjAfter: number
}

/** One of the nodes that stand for a layer. */
export interface LayerPart {
  readonly name: string
  readonly op: string
  /** Of its weights, or of the constant that it reads. */
  readonly shape: readonly number[]
}

export interface LayerResult {
  readonly name: string
  readonly op: string
  readonly weight: string
  readonly shape: readonly number[]
  /** The shape of the weight in the result; absent where it is the same. */
  readonly shapeAfter?: readonly number[]
  /** What it became, in order, where it became several; all figures are then those of the parts together. */
  readonly parts?: readonly LayerPart[]
  /** Weights and bias. */
  readonly parameters: number
  /** What one example takes; absent where shapes cannot be told. */
  readonly work?: WorkComparison
  /** Share of the weights that is not zero. */
  readonly density: number
  readonly bitsPerWeight: number
  /** Bytes of the weight in the original. */
  readonly bytesBefore: number
  /** Bytes of the streams of this weight in the pack. */
  readonly bytesAfter: number
  /** Root mean square of the output's difference to the original's, over that of the original's; absent where not comparable. */
  readonly outputError?: number
  readonly before: Histogram
  /** Absent where the layer became several, whose weights are others. */
  readonly after?: Histogram
}

export interface BytesPart {
  readonly label: string
  readonly bytes: number
}

export interface BudgetResult {
  readonly maxAccuracyLoss: number
  readonly met: boolean
  /** The loss on the validation data, in points. */
  readonly accuracyLoss: number
  readonly strength: number
  readonly tried: readonly { readonly strength: number; readonly accuracyLoss: number; readonly packBytes: number }[]
}

export interface RunReport {
  readonly format: 'espalier-report'
  readonly version: 1
  readonly model: string
  readonly recipe: { readonly name: string; readonly summary?: string; readonly seed: number }
  /** Bytes: the original's ONNX file and its parameters, the result's ONNX file and pack. */
  readonly files: {
    readonly originalOnnx: number
    readonly originalParameters: number
    readonly onnx: number
    readonly pack: number
  }
  readonly size: SizeMeasure
  readonly accuracy?: { readonly before: AccuracyMeasure; readonly after: AccuracyMeasure }
  readonly latency?: LatencyComparison
  /** The sum over the layers; absent where that of one cannot be told. */
  readonly work?: WorkComparison
  readonly stages: readonly StageResult[]
  readonly layers: readonly LayerResult[]
  readonly parts: readonly BytesPart[]
  readonly skipped: readonly Skipped[]
  readonly proof: readonly ProofCheck[]
  /** Where something did not shrink or speed up, why; and other things that a reader must know. */
  readonly remarks: readonly string[]
  readonly budget?: BudgetResult
  readonly seconds: number
}
