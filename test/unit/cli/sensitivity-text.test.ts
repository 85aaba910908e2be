import { describe, expect, it } from 'vitest'
import { formatSensitivity } from '../../../src/cli/sensitivity-text.ts'
import { sampleBits, sampleSensitivity } from '../../support/sample-sensitivity.ts'

describe('formatSensitivity', () => {
  it('has a column for each precision that was tried, and a dash where a layer cannot have it', () => {
    expect(formatSensitivity(sampleBits({ maxLoss: 1 })).split('\n')).toEqual([
      'sensitivity: accuracy when one layer alone has so many bits; 98.0 % as it is, on 1,000 validation examples of mnist; each takes so many that all layers together lose no more than 1 point',
      'layer  weights  2 bits  3 bits  4 bits  5 bits  6 bits  7 bits  8 bits   takes',
      '-----  -------  ------  ------  ------  ------  ------  ------  ------  ------',
      'conv1    1,200  47.0 %  80.3 %  91.4 %  95.1 %  96.4 %  96.8 %  96.9 %  4 bits',
      'conv2    1,200  47.0 %  80.3 %  91.4 %  95.1 %  96.4 %  96.8 %       -  4 bits',
      '',
    ])
    expect(formatSensitivity(sampleBits())).not.toContain('takes')
  })

  it('counts one as one', () => {
    const found = { ...sampleBits(), unit: 'codebooks' as const }
    const curves = [{ layer: 'a', size: 8, points: [{ at: 1, accuracy: 0.5, loss: 1 }] }]
    expect(formatSensitivity({ ...found, curves })).toContain('1 codebook\n')
  })

  it('has tenths for shares', () => {
    const text = formatSensitivity(sampleSensitivity(2))
    expect(text).toMatch(/loses so many of its filters; .*; each gives up the largest share tried that costs/)
    expect(text).toMatch(/^layer +filters +10 % .* 90 % +gives up$/m)
  })
})
