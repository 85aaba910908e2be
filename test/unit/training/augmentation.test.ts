import { describe, expect, it } from 'vitest'
import { createRandom } from '../../../src/tensor/random.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import { augment } from '../../../src/training/augmentation.ts'

const size = 6
const images = float32(
  Float32Array.from({ length: 40 * 2 * size * size }, (_, i) => i + 1),
  [40, 2, size, size],
)

/** The image shifted and mirrored in the slow, obvious way. */
function shifted(n: number, down: number, right: number, mirrored: boolean): number[] {
  const result: number[] = []
  for (let c = 0; c < 2; c++)
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++) {
        const from = [y + down, (mirrored ? size - 1 - x : x) + right]
        const inside = from.every((at) => at >= 0 && at < size)
        result.push(inside ? images.data[((n * 2 + c) * size + from[0]) * size + from[1]] : 0)
      }
  return result
}

describe('augment', () => {
  it.each(['crop', 'crop-flip'] as const)('%s gives each image one of the possible shifts', (kind) => {
    const result = augment(images, { augmentation: kind, shift: 4 }, createRandom(1))
    const choices = new Set<string>()
    for (let n = 0; n < 40; n++) {
      const got = [...result.data.subarray(n * 2 * size * size, (n + 1) * 2 * size * size)].join()
      const found: string[] = []
      for (let down = -4; down <= 4; down++)
        for (let right = -4; right <= 4; right++)
          for (const mirrored of kind === 'crop' ? [false] : [false, true])
            if (shifted(n, down, right, mirrored).join() === got) found.push(`${down} ${right} ${mirrored}`)
      expect(found).toHaveLength(1)
      choices.add(found[0])
    }
    expect(choices.size).toBeGreaterThan(20)
  })

  it('depends on nothing but the stream', () => {
    const [a, b, c] = [7, 7, 8].map(
      (seed) => augment(images, { augmentation: 'crop-flip', shift: 4 }, createRandom(seed)).data,
    )
    expect(a).toEqual(b)
    expect(a).not.toEqual(c)
  })

  it('leaves images alone when there is nothing to do, and refuses what is no image', () => {
    expect(augment(images, { augmentation: 'none', shift: 4 }, createRandom(1))).toBe(images)
    expect(() => augment(float32([1, 2], [1, 2]), { augmentation: 'crop', shift: 4 }, createRandom(1))).toThrow(
      /not images/,
    )
  })
})
