import type { AttributeValue } from '../../ir/draft.ts'
import { int64 } from '../../tensor/tensor.ts'
import type { Emitter } from '../emitter.ts'

/** A depthwise convolution with kernels of one element that has yet to be written: what follows may join it. */
export interface Affine {
  readonly x: string
  /** [channels] */
  readonly gain: string
  /** [channels] */
  readonly bias?: string
  /** A blocked value to be added. */
  readonly sum?: string
}

/** Which values exist in the blocked layout, and the ways between the layouts. Values go by their name in the model. */
export interface Blocks {
  /** Whether the value can be had in blocks: float32, [batch, channels, height, width], whole blocks of channels. */
  fits(value: string): boolean
  /** Whether it is an image with fewer channels than a block has, which a blocked convolution reads as it is. */
  isNarrow(value: string): boolean
  /** Whether it is in blocks already. */
  has(value: string): boolean
  /** Whether it no longer exists under its own name in the ordinary layout. */
  moved(value: string): boolean
  /** The value in the blocked layout; brought there when it is not. */
  blocked(value: string): string
  /** The value in the ordinary layout; brought back when it is not. */
  plain(value: string): string
  /** The value with channels last, [batch, height, width, channels], from blocks. */
  channelsLast(value: string): string
  /** Says that `value` now is `name`, in blocks. */
  set(value: string, name: string): void
  /** Says that `value` now is `name`, in the ordinary layout. */
  alias(value: string, name: string): void
  /** Says that `value` is an affine map, to be written when it is read, unless its only reader takes it over. */
  defer(value: string, affine: Affine): void
  /** Takes over a deferred affine map of which the caller is the only reader. */
  take(value: string): Affine | undefined
  /** Writes an affine map over blocked values and returns the blocked result. */
  affine(affine: Affine, relu?: boolean): string
  /** Writes an operator of the blocked domain, whose result has the given shape. */
  emit(
    op: string,
    inputs: readonly (string | undefined)[],
    shape: readonly number[],
    attributes?: Record<string, AttributeValue>,
  ): string
  /** The weight of a convolution [filters, channels, ...kernel] in the order that the blocked one wants. */
  weight(value: string): string
  used(): boolean
}

export function createBlocks(emitter: Emitter, block: number, readOnce: (value: string) => boolean): Blocks {
  const blockedNames = new Map<string, string>()
  const plainNames = new Map<string, string>()
  const lastNames = new Map<string, string>()
  const deferred = new Map<string, Affine>()
  const moved = new Set<string>()
  let emitted = false

  const emit: Blocks['emit'] = (op, inputs, shape, attributes) => {
    emitted = true
    return emitter.declare(emitter.emit(`com.microsoft.nchwc.${op}`, inputs, attributes), { dtype: 'float32', shape })
  }

  const blocks: Blocks = {
    emit,
    used: () => emitted,
    fits(value) {
      const type = emitter.type(value)
      const shape = type?.shape
      if (type?.dtype !== 'float32' || shape?.length !== 4) return false
      return shape.every((size) => typeof size === 'number') && shape[1] % block === 0
    },
    isNarrow(value) {
      const type = emitter.type(value)
      return type?.dtype === 'float32' && type.shape?.length === 4 && Number(type.shape[1]) < block
    },
    has: (value) => blockedNames.has(value) || deferred.has(value),
    moved: (value) => moved.has(value),
    set(value, name) {
      blockedNames.set(value, name)
      moved.add(value)
    },
    alias(value, name) {
      plainNames.set(value, name)
      moved.add(value)
    },
    defer(value, affine) {
      moved.add(value)
      if (readOnce(value)) deferred.set(value, affine)
      else blocks.set(value, blocks.affine(affine))
    },
    take(value) {
      const affine = deferred.get(value)
      deferred.delete(value)
      return affine
    },
    blocked(value) {
      const affine = blocks.take(value)
      if (affine) blocks.set(value, blocks.affine(affine))
      if (!blockedNames.has(value))
        blockedNames.set(value, emit('ReorderInput', [blocks.plain(value)], emitter.shape(value)))
      return blockedNames.get(value)!
    },
    plain(value) {
      if (!moved.has(value)) return value
      if (!plainNames.has(value)) {
        const shape = emitter.shape(value)
        plainNames.set(value, emit('ReorderOutput', [blocks.blocked(value)], shape, { channels: shape[1] }))
      }
      return plainNames.get(value)!
    },
    channelsLast(value) {
      if (!lastNames.has(value)) {
        const [batch, channels, height, width] = emitter.shape(value)
        const shape = [batch, height, width, channels]
        const source = blocks.blocked(value)
        lastNames.set(
          value,
          channels === block
            ? emitter.emit('Reshape', [source, emitter.literal(int64(shape))])
            : emit('ReorderOutput', [source], shape, { channels, channels_last: 1 }),
        )
      }
      return lastNames.get(value)!
    },
    affine({ x, gain, bias, sum }, relu = false) {
      const shape = emitter.shape(x)
      const kernel = emitter.emit('Reshape', [gain, emitter.literal(int64([shape[1], 1, 1, 1]))])
      return emit('Conv', [x, kernel, bias, sum], shape, {
        kernel_shape: [1, 1],
        strides: [1, 1],
        dilations: [1, 1],
        pads: [0, 0, 0, 0],
        group: shape[1],
        auto_pad: 'NOTSET',
        ...(relu ? { activation: 'Relu' } : {}),
      })
    },
    weight(value) {
      const [filters, channels, height, width] = emitter.shape(value)
      const list = (values: number[]) => emitter.literal(int64(values))
      const narrow = channels < block
      const split = narrow
        ? [filters / block, block, channels, height, width]
        : [filters / block, block, channels / block, block, height, width]
      const inBlocks = emitter.emit('Transpose', [emitter.emit('Reshape', [value, list(split)])], {
        perm: narrow ? [0, 2, 3, 4, 1] : [0, 2, 4, 5, 3, 1],
      })
      return emitter.emit('Reshape', [inBlocks, list([filters, channels, height, width])])
    },
  }
  return blocks
}
