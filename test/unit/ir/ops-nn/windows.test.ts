import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ModelError } from '../../../../src/errors.ts'
import { toAttribute, type AttributeValue } from '../../../../src/ir/draft.ts'
import type { Node } from '../../../../src/ir/model.ts'
import { listTaps, windowCounts, windowsOf } from '../../../../src/ir/windows.ts'

function pool(attributes: Record<string, AttributeValue>): Node {
  const entries = Object.entries(attributes).map(([name, value]) => [name, toAttribute(value)] as const)
  return {
    name: 'p',
    op: 'MaxPool',
    domain: '',
    inputs: ['x'],
    outputs: ['y'],
    attributes: Object.fromEntries(entries),
  }
}

const count = (attributes: Record<string, AttributeValue>, size: number | string | null, kernel: number) => {
  const node = pool(attributes)
  return windowCounts(node, [size], windowsOf(node, [size], [kernel]))[0]
}

describe('windowsOf', () => {
  it('puts the odd pad of SAME_UPPER at the end and of SAME_LOWER at the beginning', () => {
    const upper = windowsOf(pool({ auto_pad: 'SAME_UPPER', strides: [2] }), [7], [4])
    expect([upper.begin, upper.end]).toEqual([[1], [2]])
    const lower = windowsOf(pool({ auto_pad: 'SAME_LOWER', strides: [2] }), [7], [4])
    expect([lower.begin, lower.end]).toEqual([[2], [1]])
  })

  it('splits pads into beginnings and ends', () => {
    const windows = windowsOf(pool({ pads: [1, 2, 3, 4] }), [9, 9], [3, 3])
    expect([windows.begin, windows.end]).toEqual([
      [1, 2],
      [3, 4],
    ])
  })

  it.each([
    ['pads of a wrong count', { pads: [1, 1] }],
    ['a stride of zero', { strides: [0, 1] }],
    ['dilations of a wrong count', { dilations: [1] }],
  ])('refuses %s', (_, attributes) => {
    expect(() => windowsOf(pool(attributes), [9, 9], [3, 3])).toThrow(ModelError)
  })

  it('refuses a kernel of another rank', () => {
    expect(() => windowsOf(pool({}), [9, 9], [3])).toThrow(/kernel/)
  })
})

describe('windowCounts', () => {
  it('keeps a symbol where the windows keep the size, and nothing elsewhere', () => {
    expect(count({ pads: [1, 1] }, 'W', 3)).toBe('W')
    expect(count({ auto_pad: 'SAME_UPPER' }, 'W', 3)).toBe('W')
    expect(count({}, 'W', 3)).toBe(null)
    expect(count({ strides: [2], pads: [1, 1] }, 'W', 3)).toBe(null)
  })

  it('counts an overhanging window in ceil_mode, but none that starts in the padding', () => {
    expect(count({ strides: [2] }, 6, 3)).toBe(2)
    expect(count({ strides: [2], ceil_mode: 1 }, 6, 3)).toBe(3)
    expect(count({ strides: [2], pads: [0, 1], ceil_mode: 1 }, 4, 2)).toBe(2)
  })

  it('refuses a window larger than the padded input', () => {
    expect(() => count({}, 2, 3)).toThrow(ModelError)
  })
})

describe('listTaps', () => {
  it('lists what the definition says, in row-major order of the kernel for each output', () => {
    const small = fc.integer({ min: 1, max: 3 })
    const axis = fc.record({
      size: fc.integer({ min: 1, max: 6 }),
      k: small,
      s: small,
      d: small,
      b: fc.nat(2),
      e: fc.nat(2),
    })
    fc.assert(
      fc.property(axis, axis, (h, w) => {
        const axes = [h, w]
        const counts = axes.map(({ size, k, s, d, b, e }) => Math.floor((size + b + e - (k - 1) * d - 1) / s) + 1)
        fc.pre(counts.every((count) => count > 0))
        const pick = (key: 'k' | 's' | 'd' | 'b' | 'e') => axes.map((each) => each[key])
        const windows = {
          kernel: pick('k'),
          strides: pick('s'),
          dilations: pick('d'),
          begin: pick('b'),
          end: pick('e'),
        }
        const taps = listTaps([h.size, w.size], counts, windows)
        const found = Array.from(taps.output, (o, t) => `${o},${taps.kernel[t]},${taps.input[t]}`)
        const wanted: string[] = []
        for (let oy = 0; oy < counts[0]; oy++)
          for (let ox = 0; ox < counts[1]; ox++)
            for (let ky = 0; ky < h.k; ky++)
              for (let kx = 0; kx < w.k; kx++) {
                const [y, x] = [oy * h.s + ky * h.d - h.b, ox * w.s + kx * w.d - w.b]
                if (y < 0 || x < 0 || y >= h.size || x >= w.size) continue
                wanted.push(`${oy * counts[1] + ox},${ky * w.k + kx},${y * w.size + x}`)
              }
        expect([...found].sort()).toEqual([...wanted].sort())
        const kernelOrder = new Map<string, number>()
        for (const entry of found) {
          const [o, k] = entry.split(',')
          expect(Number(k)).toBeGreaterThan(kernelOrder.get(o) ?? -1)
          kernelOrder.set(o, Number(k))
        }
      }),
    )
  })
})
