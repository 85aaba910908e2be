/** General compressors at their best, each as `{ name, encode, decode }` of bytes. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib'

const inProcess = [
  { name: 'gzip -9', encode: (bytes) => gzipSync(bytes, { level: 9 }), decode: gunzipSync },
  {
    name: 'brotli 11',
    encode: (bytes) =>
      brotliCompressSync(bytes, {
        params: {
          [constants.BROTLI_PARAM_QUALITY]: 11,
          [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
          [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
        },
      }),
    decode: brotliDecompressSync,
  },
]

const programs = [
  { name: 'zstd -19', program: 'zstd', flags: ['-19'], package: 'zstd' },
  { name: 'zstd --ultra -22', program: 'zstd', flags: ['--ultra', '-22'], package: 'zstd' },
  { name: 'xz -9e', program: 'xz', flags: ['-9e'], package: 'xz-utils' },
]

/** The peers that are here; of the others it says what to install. `close` removes their temporary folder. */
export function openPeers() {
  const folder = mkdtempSync(join(tmpdir(), 'espalier-coders-'))
  const run = (program, flags, bytes) => {
    const path = join(folder, 'stream')
    writeFileSync(path, bytes)
    // A file, not a pipe: so that the program knows the size and needs no checks or frames for what it does not know.
    const { status, stdout, stderr } = spawnSync(program, [...flags, '-q', '-c', path], { maxBuffer: 2 ** 28 })
    if (status !== 0) throw new Error(`${program}: ${stderr}`)
    return stdout
  }
  const outside = programs.flatMap(({ name, program, flags, package: needed }) => {
    if (spawnSync(program, ['--version']).status !== 0) {
      console.error(`${name} is left out: there is no ${program}; 'apt-get install ${needed}' brings it.`)
      return []
    }
    // xz asks for its suffix when it decodes a file by name; a pipe has none.
    const decode = (bytes) => {
      const { status, stdout, stderr } = spawnSync(program, ['-d', '-q', '-c'], { input: bytes, maxBuffer: 2 ** 28 })
      if (status !== 0) throw new Error(`${program}: ${stderr}`)
      return stdout
    }
    return [{ name, encode: (bytes) => run(program, flags, bytes), decode }]
  })
  return { peers: [...inProcess, ...outside], close: () => rmSync(folder, { recursive: true, force: true }) }
}
