import { describe, expect, it } from 'vitest'
import type { Sensitivity } from '../../../src/methods/method.ts'
import { formatSensitivityPage, sensitivityNote, sensitivityPlot } from '../../../src/pipelines/sensitivity-plot.ts'
import { sampleBits, sampleSensitivity } from '../../support/sample-sensitivity.ts'

const coordinates = (path: string) =>
  path
    .split(/[ML]/)
    .slice(1)
    .map((pair) => pair.split(' ').map(Number))

describe('sensitivityPlot', () => {
  const text = sensitivityPlot(sampleSensitivity(20)).text
  const paths = [...text.matchAll(/<path\s+d="(M[^"]+)"/g)].map(([, d]) => d).filter((d) => d.includes('L'))

  it('draws a line a layer, from left to right, and no two alike in the legend', () => {
    expect(paths).toHaveLength(20)
    for (const path of paths) {
      const points = coordinates(path)
      expect(points).toHaveLength(10)
      for (let i = 1; i < points.length; i++) expect(points[i][0]).toBeGreaterThan(points[i - 1][0])
      for (const [x, y] of points) {
        expect(x).toBeGreaterThanOrEqual(0)
        expect(x).toBeLessThanOrEqual(720)
        expect(y).toBeGreaterThanOrEqual(0)
        expect(y).toBeLessThanOrEqual(300)
      }
    }
    const marks = [...text.matchAll(/<path\s+d="M0 3H26"\s+([^>]*)>/g)].map(([, look]) => look)
    expect(new Set(marks).size).toBe(20)
  })

  it('lies lower where the accuracy is lower, and puts a dot where a share was chosen', () => {
    const found: Sensitivity = {
      unit: 'ratio',
      parts: 'filters',
      data: 'd',
      count: 10,
      accuracy: 0.9,
      maxLoss: 5,
      curves: [
        {
          layer: 'a',
          size: 4,
          points: [
            { at: 0, accuracy: 0.9, loss: 0 },
            { at: 0.5, accuracy: 0.86, loss: 0 },
            { at: 0.75, accuracy: 0.4, loss: 0 },
          ],
          chosen: 0.5,
        },
      ],
    }
    const plot = sensitivityPlot(found).text
    const [start, middle, end] = coordinates(/<path\s+d="(M[^"]+L[^"]+)"/.exec(plot)![1])
    expect(start[1]).toBeLessThan(middle[1])
    expect(middle[1]).toBeLessThan(end[1])
    const [, cx, cy] = /<circle\s+cx="([^"]+)"\s+cy="([^"]+)"/.exec(plot)!
    expect([Number(cx), Number(cy)]).toEqual(middle)
    const floor = Number(/class="floor"[^>]*\sy1="([^"]+)"/.exec(plot)![1])
    expect(floor).toBeGreaterThan(middle[1])
    expect(floor).toBeLessThan(end[1])
    expect(plot).toContain('50 % of 4<')
  })

  it('has no dots where nothing was chosen, and survives a single layer and equal accuracies', () => {
    const plain = sampleSensitivity(1, false)
    const flat = {
      ...plain,
      curves: plain.curves.map((curve) => ({
        ...curve,
        points: curve.points.map((point) => ({ ...point, accuracy: 1 })),
      })),
      accuracy: 1,
    }
    const plot = sensitivityPlot(flat).text
    expect(plot).not.toContain('<circle')
    expect(plot).not.toContain('NaN')
    expect(sensitivityPlot({ ...plain, curves: [] }).text).not.toContain('NaN')
  })

  it('makes a page of its own that asks for nothing and lets no name out of its place', () => {
    const hostile = '"><script>alert(1)</script>'
    const page = formatSensitivityPage(hostile, `filter-l1${hostile}`, sampleSensitivity(2, true, hostile))
    expect(page).not.toMatch(/<script|<link|@import|url\(|https?:/)
    expect(page).toContain("default-src 'none'")
    expect(page.match(/&quot;&gt;&lt;script&gt;/g)!.length).toBeGreaterThan(6)
  })

  it('says on what it was measured', () => {
    expect(sensitivityNote(sampleSensitivity(3))).toMatch(/1,000 validation examples of mnist .* no more than 1 point /)
    expect(sensitivityNote(sampleSensitivity(3, false))).not.toContain('point')
  })
})

describe('sensitivityPlot in bits', () => {
  it('has the bits that were tried on its axis, from first to last', () => {
    const plot = sensitivityPlot(sampleBits()).text
    const texts = [...plot.matchAll(/<text\s+x="([^"]+)"[^>]*>\s*([^<]*?)\s*<\/text>/g)]
    const ticks = texts.filter(([, , label]) => /^\d$/.test(label))
    expect(ticks.map(([, , label]) => label)).toEqual(['2', '3', '4', '5', '6', '7', '8'])
    const paths = [...plot.matchAll(/<path\s+d="(M[^"]+L[^"]+)"/g)].map(([, d]) => coordinates(d))
    expect(paths[0].map(([x]) => x)).toEqual(ticks.map(([, x]) => Number(x)))
    expect(paths[1]).toHaveLength(6)
    expect(plot).toContain('bits of one layer')
    expect(plot).not.toMatch(/<circle|removed/)
    expect(plot).toContain('1,200 weights')
  })

  it('tells what a budget gave each layer', () => {
    const found = sampleBits({ maxLoss: 1 })
    const plot = sensitivityPlot(found).text
    expect(plot.match(/<circle/g)).toHaveLength(2)
    expect(plot).toContain('4 bits, 1,200 weights')
    expect(sensitivityNote(found)).toMatch(/has so many bits.*all layers together lose no more than 1 point \(dashed\)/)
    const average = sensitivityNote(sampleBits({ averageBits: 3.5 }))
    expect(average).toMatch(/no more than 3.5 bits on average, where the dots are/)
    expect(average).not.toContain('dashed')
    const page = formatSensitivityPage('m', 'uniform', found)
    expect(page).toContain('What each layer loses in few bits')
  })

  it('shows layers that have one precision only, and none', () => {
    const { curves, ...rest } = sampleBits()
    const single = { ...rest, curves: [{ ...curves[0], points: [{ at: 3, accuracy: 0.5, loss: 1 }] }] }
    const plot = sensitivityPlot(single).text
    expect(plot.match(/<circle/g)).toHaveLength(1)
    for (const found of [single, { ...rest, curves: [] }]) expect(sensitivityPlot(found).text).not.toContain('NaN')
  })
})
