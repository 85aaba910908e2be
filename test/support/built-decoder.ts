/** The decoder as JavaScript, compiled for a test: threads and browsers load files, not what vitest transforms. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll } from 'vitest'
import type * as Decoder from '../../src/formats/pack/unpack.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The entry of the decoder below the folder of the build, as below `dist`. */
export const decoderEntry = 'formats/pack/unpack.js'

/** Compiles `espalier/unpack` and what its threads run to a folder that is removed after the tests of the file. */
export function buildDecoder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-decoder-'))
  afterAll(() => rmSync(folder, { recursive: true }))
  const config = join(folder, 'tsconfig.json')
  const files = ['unpack', 'thread'].map((name) => join(root, `src/formats/pack/${name}.ts`))
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: join(root, 'src'),
        outDir: folder,
        declaration: false,
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: [],
      files,
    }),
  )
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config], { stdio: 'pipe' })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  return folder
}

/** The compiled decoder, for Node. */
export async function importDecoder(folder: string): Promise<typeof Decoder> {
  return (await import(pathToFileURL(join(folder, decoderEntry)).href)) as typeof Decoder
}
