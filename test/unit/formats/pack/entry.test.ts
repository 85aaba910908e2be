/** What `espalier/unpack` promises as a package: a small entry that needs nothing else. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { rolldown } from 'rolldown'
import { describe, expect, it } from 'vitest'
import * as library from '../../../../src/index.ts'
import * as decoder from '../../../../src/formats/pack/unpack.ts'

const root = fileURLToPath(new URL('../../../..', import.meta.url))

/** The entry as a page would get it from a bundler. */
async function bundled(name: string) {
  const bundle = await rolldown({ input: join(root, `src/formats/pack/${name}.ts`), platform: 'browser' })
  const { output } = await bundle.generate({ format: 'es', minify: true })
  return output[0]
}

describe('espalier/unpack', () => {
  it('is where package.json says', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly exports: Record<string, { readonly types: string; readonly default: string }>
    }
    const { types, default: code } = exports['./unpack']
    expect(types).toBe(code.replace(/\.js$/, '.d.ts'))
    expect(existsSync(join(root, code.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts')))).toBe(true)
  })

  it('has no dependency, and stays below 28 KB, minified and gzipped', async () => {
    for (const name of ['unpack', 'thread']) {
      const { code, imports, dynamicImports } = await bundled(name)
      expect([...imports, ...dynamicImports]).toEqual([])
      expect(code).not.toMatch(/\b(?:require|Buffer)\b/)
      const size = gzipSync(code, { level: 9 }).length
      expect(size).toBeGreaterThan(4_000)
      expect(size).toBeLessThan(28_000)
    }
  })

  it('has threads that bundlers find', async () => {
    expect((await bundled('unpack')).code).toMatch(
      /new Worker\(new URL\([`'"]\.\/thread\.js[`'"],\s*import\.meta\.url\)/,
    )
  })

  it('is part of the library', () => {
    expect(library.unpack).toBe(decoder.unpack)
    expect(library.unpackFrom).toBe(decoder.unpackFrom)
    expect(library.unpackTensors).toBe(decoder.unpackTensors)
    expect(library.DataError).toBe(decoder.DataError)
  })
})
