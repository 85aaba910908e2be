import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { codecs } from '../../../../src/codecs/index.ts'
import { describePack } from '../../../../src/formats/pack/describe.ts'
import { unpack } from '../../../../src/formats/pack/unpack.ts'
import { packOnnx } from '../../../../src/formats/pack/write.ts'
import { parseVectors, vectorSection } from '../../../support/pack-vectors.ts'

const page = fileURLToPath(new URL('../../../../docs/pack.md', import.meta.url))
const marker = '<!-- Test vectors: written by scripts/pack-vectors.mjs. -->\n'
const [text] = readFileSync(page, 'utf8').split(marker)
// scripts/pack-vectors.mjs runs this file with the variable set.
if (process.env.WRITE_PACK_VECTORS) writeFileSync(page, `${text}${marker}\n${vectorSection()}`)
const section = readFileSync(page, 'utf8').split(marker)[1] ?? ''

describe('the test vectors of docs/pack.md', () => {
  it('are those of this version', () => {
    expect(section.trim()).toBe(vectorSection().trim())
  })

  it('decode to their ONNX files', () => {
    const vectors = parseVectors(section)
    expect(vectors).toHaveLength(17)
    for (const { onnx, pack } of vectors) expect(unpack(pack)).toEqual(onnx)
  })

  it('cover every codec', () => {
    const used = new Set(
      parseVectors(section).flatMap(({ pack }) => describePack(pack).streams.map(({ codec }) => codec)),
    )
    for (const name of codecs.keys()) expect(used).toContain(name)
  })

  it('are what the writer makes of the ONNX bytes where it chooses freely', () => {
    const free = parseVectors(section).find(({ name }) => name === 'no tensor')!
    expect(packOnnx(free.onnx)).toEqual(free.pack)
  })
})
