import type { CaffeLayerType } from '../layer.ts'
import { absval, dropout, relu, sigmoid, softmax, split, tanh } from './activations.ts'
import { convolution } from './convolution.ts'
import { innerProduct } from './inner-product.ts'
import { concat, eltwise, flatten } from './joining.ts'
import { batchNorm, lrn } from './normalization.ts'
import { pooling } from './pooling.ts'
import { scale } from './scale.ts'

/** The types of Caffe's layers that are known. */
export const layerTypes: readonly CaffeLayerType[] = [
  convolution,
  innerProduct,
  pooling,
  relu,
  lrn,
  batchNorm,
  scale,
  concat,
  eltwise,
  flatten,
  softmax,
  sigmoid,
  tanh,
  absval,
  dropout,
  split,
]
