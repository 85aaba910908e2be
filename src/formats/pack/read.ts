import type { Model } from '../../ir/model.ts'
import { readModel } from '../onnx/read.ts'
import { unpack, type UnpackOptions } from './unpack.ts'

/**
 * Reads a pack back to the model that it was written from: `writeModel` gives the same bytes for both.
 * @throws DataError when the pack is damaged, cut short or contradicts itself, before anything large is allocated.
 */
export function readPack(bytes: Uint8Array, options: UnpackOptions = {}): Model {
  return readModel(unpack(bytes, options), { keepOpset: true })
}
