import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeText, html } from '../../../src/pipelines/html.ts'
import { formatReport, formatReportJson } from '../../../src/pipelines/report.ts'
import { sampleReport } from '../../support/sample-report.ts'

describe('escapeText', () => {
  it('leaves nothing that could end an element or an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escapeText(text)).not.toMatch(/[<>"']/)
      }),
    )
  })

  it('makes control characters and changes of direction visible', () => {
    expect(escapeText('a\u0000b\u202ec')).toBe('a\ufffdb\ufffdc')
  })

  it('escapes strings but not markup in templates', () => {
    expect(html`<p>${'<b>'}${html`<i>${1}</i>`}${[html`x`, '&']}${undefined}</p>`.text).toBe(
      '<p>&lt;b&gt;<i>1</i>x&amp;</p>',
    )
  })
})

describe('formatReport', () => {
  const hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>'

  it('shows the three ratios, accuracy, latency, stages, layers, skips and proof', () => {
    const page = formatReport(sampleReport())
    for (const words of ['12.3×', '32.8×', '41.5×', 'weights kept', 'storage with indices', 'bytes of the real file'])
      expect(page).toContain(words)
    for (const words of [
      '98.20 %',
      '98.35 %',
      'magnitude',
      'ip1',
      'not among the included layers',
      'bit for bit',
      'Good to know',
      '266,200 → 133,100 macs (2.0×)',
      '200 → 40.0 µJ (5.0×)',
      'What each layer can give up: magnitude',
      '1,000 validation examples',
    ])
      expect(page).toContain(words)
  })

  it('asks the network for nothing and contains no script', () => {
    const page = formatReport(sampleReport())
    expect(page).not.toMatch(/<script|<link|@import|url\(|https?:/)
    expect(page).toContain("default-src 'none'")
  })

  it('escapes hostile names wherever a model can bring them', () => {
    const page = formatReport(sampleReport(hostile))
    expect(page).not.toContain('<script>')
    expect(page).not.toContain('<img')
    expect(page.match(/&quot;&gt;&lt;script&gt;/g)!.length).toBeGreaterThan(8)
  })

  it('shows what a layer became that is several now', () => {
    const report = sampleReport()
    const { after: _, ...first } = report.layers[0]
    const parts = [
      { name: 'ip1.v', op: 'Gemm', shape: [20, 784] },
      { name: 'ip1.d', op: 'Mul', shape: [20] },
      { name: 'ip1.u<', op: 'Gemm', shape: [300, 20] },
    ]
    const page = formatReport({ ...report, layers: [{ ...first, parts }, ...report.layers.slice(1)] })
    for (const words of ['Gemm, Mul, Gemm', '20 × 784, 20, 300 × 20', 'became ip1.v, ip1.d, ip1.u&lt;'])
      expect(page).toContain(words)
    expect(formatReport(report)).not.toContain('became ip1')
  })

  it('says the same as JSON', () => {
    const report = sampleReport()
    expect(JSON.parse(formatReportJson(report))).toEqual(report)
  })

  it('does without accuracy, latency, layers and skips', () => {
    const { accuracy: _a, latency: _l, ...rest } = sampleReport()
    const page = formatReport({ ...rest, layers: [], skipped: [], remarks: [] })
    expect(page).toContain('there was no data')
    expect(page).toContain('every step worked on every layer')
  })
})
