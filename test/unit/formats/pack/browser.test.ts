/** The decoder in a real browser: served as files, it fetches a pack and unpacks it while it arrives. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeModel } from '../../../../src/formats/onnx/write.ts'
import type * as Decoder from '../../../../src/formats/pack/unpack.ts'
import { packOnnx } from '../../../../src/formats/pack/write.ts'
import { buildDecoder, decoderEntry } from '../../../support/built-decoder.ts'
import { chromiumPath } from '../../../support/chromium.ts'
import { sparseLayers } from '../../../support/pack-models.ts'

const executablePath = chromiumPath()
const onnx = writeModel(sparseLayers())
const pack = packOnnx(onnx, { coding: 'adaptive' })
const sha256 = createHash('sha256').update(onnx).digest('hex')

/** The examples of docs/pack.md. */
const page = (path: string) => readFileSync(fileURLToPath(new URL(`../../../../${path}`, import.meta.url)), 'utf8')
const examples = [...page('docs/pack.md').matchAll(/<!-- A test runs this in a browser. -->\n```js\n([^]*?)```/g)].map(
  ([, code]) => code,
)

const importMap = JSON.stringify({ imports: { 'espalier/unpack': `/dist/${decoderEntry}` } })
/** A page that runs a module. */
const html = (code: string) =>
  `<title>page</title><script type="importmap">${importMap}</script><script type="module">${code}</script>`
const pages: Readonly<Record<string, string>> = {
  '/': html("import * as decoder from 'espalier/unpack'; globalThis.decoder = decoder"),
  '/restore': html(`${examples[0]}; globalThis.restored = onnx`),
  '/tensors': html(`${examples[1]}; console.log('end')`),
}
/** What forbids a page to start workers. */
const policy = "default-src 'self'; worker-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'"

/** Serves the folder of the decoder as `/dist`, two packs, and the pages, whose threads `?strict` forbids. */
function serve(folder: string): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url!, 'http://localhost')
    const answer = (type: string, body: Uint8Array | string) => {
      if (search === '?strict') response.setHeader('content-security-policy', policy)
      response.setHeader('content-type', type).end(body)
    }
    const path = normalize(pathname)
    if (path in pages) answer('text/html', pages[path])
    else if (path === '/model.espalier') answer('application/octet-stream', pack)
    else if (path === '/damaged.espalier') answer('application/octet-stream', pack.slice().fill(0, 700, 701))
    else
      readFile(join(folder, path.replace(/^\/dist\//, ''))).then(
        (body) => answer('text/javascript', body),
        () => response.writeHead(404).end(),
      )
  })
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

/** What the page `/` leaves. */
declare const decoder: typeof Decoder

describe('the examples of docs/pack.md', () => {
  it('are two, of which the README shows one', () => {
    expect(examples).toHaveLength(2)
    expect(page('README.md')).toContain(examples[0])
  })
})

// A browser takes long to start where others compute.
describe.skipIf(!executablePath)('espalier/unpack in a browser', { timeout: 240_000 }, () => {
  const folder = executablePath ? buildDecoder() : ''
  let server: Server
  let browser: Browser

  beforeAll(async () => {
    server = await serve(folder)
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser.close()
    server.close()
  })

  const open = async (path: string): Promise<Page> => {
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`)
    return page
  }
  /** Opens the page `/`, fetches a pack there and gives the SHA-256 of what it restores, and how many workers it had. */
  const unpackIn = async (
    path: string,
    pack: string,
    threads: number,
  ): Promise<{ digest: string; workers: number }> => {
    const page = await open(path)
    let workers = 0
    page.on('worker', () => workers++)
    const digest = await page.evaluate(
      async ([name, count]) => {
        const response = await fetch(name)
        const restored = await decoder.unpackFrom(response.body!, { threads: count })
        const hash = await crypto.subtle.digest('SHA-256', restored.slice())
        return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('')
      },
      [pack, threads] as const,
    )
    await page.close()
    return { digest, workers }
  }

  it('restores what Node restores, without threads and with', async () => {
    for (const threads of [0, 2])
      expect(await unpackIn('/', '/model.espalier', threads)).toEqual({ digest: sha256, workers: threads })
  })

  it('does without threads where the page forbids them', async () => {
    expect((await unpackIn('/?strict', '/model.espalier', 2)).digest).toBe(sha256)
  })

  it('finds out a damaged pack', async () => {
    for (const threads of [0, 2]) await expect(unpackIn('/', '/damaged.espalier', threads)).rejects.toThrow('DataError')
  })

  it('does what the examples of docs/pack.md say', async () => {
    const page = await open('/restore')
    await page.waitForFunction(() => 'restored' in globalThis)
    expect(await page.evaluate(() => (globalThis as unknown as { restored: Uint8Array }).restored.length)).toBe(
      onnx.length,
    )
    const other = await browser.newPage()
    const lines: string[] = []
    other.on('console', (message) => lines.push(message.text()))
    await other.goto(page.url().replace('restore', 'tensors'))
    await expect.poll(() => lines.at(-1)).toBe('end')
    expect(lines).toHaveLength(7)
    expect(lines[1]).toBe('layer 1 int8 [300, 500] 150000')
  })
})
