/** The house rules that no compiler checks: who may import whom, and who may know Node. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** From the bottom to the top; names in one line are siblings that may not import each other, except where `also` says so. */
const layers: readonly (readonly string[])[] = [
  ['errors', 'paper', 'progress'],
  ['tensor'],
  ['ir'],
  ['formats', 'autodiff', 'codecs'],
  ['kernels'],
  ['engines'],
  ['training', 'datasets', 'zoo', 'hardware'],
  ['methods'],
  ['pipelines'],
  ['papers', 'sweeps'],
  ['cli', 'studio'],
  ['index'],
]
/** Containers are made of codecs; training reads data sets. */
const also = new Set(['formats -> codecs', 'training -> datasets'])
const browserSafe = new Set([
  'errors',
  'paper',
  'progress',
  'tensor',
  'ir',
  'autodiff',
  'codecs',
  'methods',
  'pipelines',
])

const root = resolve(import.meta.dirname, '../../src')

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? sources(path) : entry.name.endsWith('.ts') ? [path] : []
  })
}

const layerOf = (path: string) => relative(root, path).split('/')[0].replace(/\.ts$/, '')
const level = (layer: string) => layers.findIndex((names) => names.includes(layer))

function imports(path: string): string[] {
  const text = readFileSync(path, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1])
}

describe('the layers of the house', () => {
  const files = sources(root)

  it('finds the sources, each in a known layer', () => {
    expect(files.length).toBeGreaterThan(20)
    expect(files.filter((path) => level(layerOf(path)) < 0).map((path) => relative(root, path))).toEqual([])
  })

  it('imports only from the same layer or below', () => {
    const wrong: string[] = []
    for (const path of files) {
      const from = layerOf(path)
      for (const target of imports(path).filter((name) => name.startsWith('.'))) {
        const to = layerOf(resolve(dirname(path), target))
        if (from === to || also.has(`${from} -> ${to}`)) continue
        if (level(to) >= level(from)) wrong.push(`${relative(root, path)} imports ${target}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('keeps Node out of the layers that run in a browser', () => {
    const wrong = files
      .filter((path) => browserSafe.has(layerOf(path)))
      .flatMap((path) =>
        imports(path)
          .filter((name) => name.startsWith('node:') || name === 'onnxruntime-node' || name === 'sharp')
          .map((name) => `${relative(root, path)} imports ${name}`),
      )
    expect(wrong).toEqual([])
  })

  it('runs graphs only in engines', () => {
    const wrong = files.filter((path) => layerOf(path) !== 'engines' && imports(path).includes('onnxruntime-node'))
    expect(wrong.map((path) => relative(root, path))).toEqual([])
  })
})
