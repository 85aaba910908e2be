/**
 * The public API: everything that a program needs to read a model, make it smaller, train it, measure it and write it.
 * Node; what runs in a browser too is listed in ARCHITECTURE.md.
 */
export { DataError, EspalierError, ModelError, UnsupportedError, UsageError } from './errors.ts'
export type { ErrorDetails } from './errors.ts'
export type { Paper } from './paper.ts'
export type { ProgressEvent, ProgressListener } from './progress.ts'

export { dtypes, type DataOf, type DType } from './tensor/dtype.ts'
export { createTensor, elementCount, float32, identical, int64, scalar, zeros, type Tensor } from './tensor/tensor.ts'
export { fromFloat32, toFloat32 } from './tensor/half.ts'
export { createRandom, type Random } from './tensor/random.ts'

export type { Attribute, Dim, Graph, LocalFunction, Model, Node, TensorType, ValueInfo } from './ir/model.ts'
export { createDraft, float, floats, type AttributeValue, type Draft, type NodeOptions } from './ir/draft.ts'
export { defineOperator, type Cost, type Operator, type Sample } from './ir/operator.ts'
export { operators } from './ir/ops/index.ts'
export { inferShapes, bindDimensions, rebatch, type TypeTable } from './ir/shapes.ts'
export { foldConstants } from './ir/fold.ts'
export { assertValid, verify, type Problem } from './ir/verify.ts'
export { layers, type Layer } from './ir/rewrite.ts'
export { modelCost, type ModelCost } from './ir/cost.ts'

export { readModel, type ReadOptions } from './formats/onnx/read.ts'
export { writeModel } from './formats/onnx/write.ts'
export { readModelFile, writeModelFile } from './formats/onnx/file.ts'
export { readPack } from './formats/pack/read.ts'
export { packOnnx, writePack, type PackOptions } from './formats/pack/write.ts'
export { describePack, type PackDescription, type PackStream } from './formats/pack/describe.ts'
export {
  unpack,
  unpackFrom,
  unpackTensors,
  type ByteSource,
  type ReceiveOptions,
  type UnpackedTensor,
  type UnpackOptions,
} from './formats/pack/unpack.ts'
export { foreignFormats } from './formats/index.ts'
export { defineForeignFormat, type Companion, type ForeignFile, type ForeignFormat } from './formats/foreign.ts'
export { codecs } from './codecs/index.ts'
export { defineCodec, type Codec } from './codecs/codec.ts'

export { differentiate, type Differentiated } from './autodiff/gradient.ts'
export { lower, type Target } from './autodiff/lower.ts'

export type { Engine, Session, SessionOptions } from './engines/engine.ts'
export { onnxruntime } from './engines/onnxruntime.ts'
export { referenceEngine } from './engines/reference.ts'

export { openData } from './datasets/open.ts'
export { datasets } from './datasets/index.ts'
export type { Batch, Dataset, DataSplits } from './datasets/dataset.ts'
export { networks } from './zoo/index.ts'

export { train, type TrainOptions, type TrainResult } from './training/train.ts'
export { evaluate, type Evaluation } from './training/evaluate.ts'
export { trainingSettings, type TrainingSettings } from './training/settings.ts'
export { createFileStore } from './training/file-store.ts'

export { methods } from './methods/index.ts'
export type { Context, Family, Method, Need, Sensitivity } from './methods/method.ts'
export { parseRecipe, type Recipe } from './pipelines/recipe.ts'
export { runRecipe, type RunEnvironment, type RunResult } from './pipelines/run.ts'
export { formatReport, formatReportJson } from './pipelines/report.ts'
