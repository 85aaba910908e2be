import type { Random } from '../tensor/random.ts'
import { createTensor, elementCount, type Tensor } from '../tensor/tensor.ts'
import { UsageError } from '../errors.ts'
import type { TrainingSettings } from './settings.ts'

/**
 * A changed copy of a batch of images `[N, C, H, W]`: each is shifted by up to `shift` pixels along both axes, with zeros
 * where nothing was, and with 'crop-flip' mirrored with probability 1/2. Zero is zero after preprocessing: the mean
 * colour where a mean was subtracted.
 * @throws UsageError when the examples are not images.
 */
export function augment(
  images: Tensor<'float32'>,
  { augmentation, shift }: Pick<TrainingSettings, 'augmentation' | 'shift'>,
  random: Random,
): Tensor<'float32'> {
  if (augmentation === 'none') return images
  if (images.shape.length !== 4)
    throw new UsageError(
      'augmentation-shape',
      `examples of shape [${images.shape.slice(1).join(', ')}] are not images`,
      {
        place: 'augmentation',
        hint: "Set augmentation to 'none'.",
      },
    )
  const [count, channels, height, width] = images.shape
  const source = images.data
  const result = new Float32Array(elementCount(images.shape))
  for (let n = 0; n < count; n++) {
    const down = random.integer(2 * shift + 1) - shift
    const right = random.integer(2 * shift + 1) - shift
    const mirrored = augmentation === 'crop-flip' && random.bits() >= 2 ** 31
    const firstRow = Math.max(0, -down)
    const lastRow = Math.min(height, height - down)
    const firstColumn = Math.max(0, -right)
    const lastColumn = Math.min(width, width - right)
    for (let c = 0; c < channels; c++) {
      const plane = (n * channels + c) * height * width
      for (let y = firstRow; y < lastRow; y++) {
        const from = plane + (y + down) * width + right
        const to = plane + y * width
        if (mirrored) for (let x = firstColumn; x < lastColumn; x++) result[to + width - 1 - x] = source[from + x]
        else for (let x = firstColumn; x < lastColumn; x++) result[to + x] = source[from + x]
      }
    }
  }
  return createTensor('float32', images.shape, result)
}
