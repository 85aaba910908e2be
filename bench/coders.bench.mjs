/**
 * Coders of weights: how small each codec and each general compressor makes the codes and masks of real networks, and
 * how fast. Ours is what the pack takes by itself, each stream with its record; the others get the same codes, once
 * packed into bits and once a byte each, and the smaller result counts. In total, they get all layers in one file.
 * Speeds are of whole networks, in millions of symbols a second: medians over rounds in which all take turns, after one
 * that warms up; what takes more than half a second there has no further turns, and its first counts. zstd and xz are
 * programs of their own: their times include the start.
 * `--rounds N` sets how often they take turns (default 5; 0 is for sizes alone).
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { openPeers } from './coders/peers.mjs'
import { streamGroups } from './coders/streams.mjs'

const folder = dirname(fileURLToPath(import.meta.url))
const root = join(folder, '..')
const asked = process.argv.indexOf('--rounds')
const rounds = asked === -1 ? 5 : Number(process.argv[asked + 1])
/** Milliseconds of the first round from which on a coder has no others. */
const SLOW = 500
const built = (path) => import(pathToFileURL(join(root, 'dist', path)).href)

const { codecs } = await built('codecs/index.js')
const { entropyBits } = await built('codecs/accounting.js')
const { takesAlphabet } = await built('codecs/codec.js')
const { createChooser } = await built('formats/pack/choose.js')
const { readModelFile: load } = await built('formats/onnx/file.js')
const { toFloat32 } = await built('tensor/half.js')

const OURS = 'pack'
const nameOf = new Map([...codecs.values()].map(({ id, name }) => [id, name]))
const sum = (values) => values.reduce((total, value) => total + value, 0)
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const rounded = (value, digits) => Number(value.toFixed(digits))
const packed = (stream) => codecs.get('bits').encode(stream)

/** A record names the codec and says the length, a varint each. */
const recordBytes = (length) => 1 + Math.max(1, Math.ceil((32 - Math.clz32(length)) / 7))

function joined(parts) {
  const bytes = new Uint8Array(sum(parts.map(({ length }) => length)))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** What the others get: the symbols packed into bits and a byte each, once where that is the same. */
function formsOf(streams) {
  const bytes = { suffix: ', bytes', source: joined(streams.map(({ symbols }) => symbols)) }
  const bits = { suffix: ', bits', source: joined(streams.map(packed)) }
  return Buffer.compare(bits.source, bytes.source) === 0 ? [bytes] : [bits, bytes]
}

/** The coders of a group, each with `encode()`, `decode(encoded)` and `bytes(encoded)`, a number for each layer. */
function codersOf(streams, peers) {
  const lengths = (encoded) => encoded.map(({ length }) => length)
  const decodeAll = (codec) => (encoded) =>
    streams.map(({ symbols, alphabet, shape }, i) => codec(i).decode(encoded[i], symbols.length, alphabet, shape))
  const ours = () => {
    let chosen = []
    return {
      name: OURS,
      encode: () => {
        const chooser = createChooser(undefined)
        chosen = streams.map((stream) => chooser.encode({ part: stream.name, ...stream }))
        return chosen.map(({ bytes }) => bytes)
      },
      decode: (encoded) => decodeAll((i) => codecs.get(nameOf.get(chosen[i].codec)))(encoded),
      bytes: (encoded) => encoded.map(({ length }) => length + recordBytes(length)),
      chosen: () => chosen.map(({ codec }) => nameOf.get(codec)),
    }
  }
  const own = [...codecs.values()]
    .filter((codec) => streams.every(({ alphabet }) => takesAlphabet(codec, alphabet)))
    .map((codec) => ({
      name: codec.name,
      encode: () => streams.map((stream) => codec.encode(stream)),
      decode: decodeAll(() => codec),
      bytes: lengths,
    }))
  const forms = formsOf(streams)
  const others = peers.flatMap((peer) =>
    forms.map(({ suffix, source }) => ({
      name: peer.name + suffix,
      encode: () => [peer.encode(source)],
      decode: ([encoded]) => [peer.decode(encoded)],
      expected: [source],
      bytes: lengths,
    })),
  )
  return [ours(), ...own, ...others]
}

/** Checks that every coder gives back what it got. */
function check(coder, encoded, streams) {
  const expected = coder.expected ?? streams.map(({ symbols }) => symbols)
  for (const [i, decoded] of coder.decode(encoded).entries())
    if (Buffer.compare(decoded, expected[i]) !== 0) throw new Error(`${coder.name} does not give back stream ${i}`)
}

/** Sizes and speeds of every coder over a whole network. */
function measureGroup({ name, streams }, peers) {
  const count = sum(streams.map(({ symbols }) => symbols.length))
  const coders = codersOf(streams, peers)
  const times = new Map(coders.map((coder) => [coder, { encode: [], decode: [] }]))
  const sizes = new Map()
  for (let round = 0; round <= rounds; round++)
    for (const coder of coders) {
      const { encode, decode } = times.get(coder)
      if (round > 0 && encode[0] + decode[0] > SLOW) continue
      const start = performance.now()
      const encoded = coder.encode()
      const middle = performance.now()
      coder.decode(encoded)
      encode.push(middle - start)
      decode.push(performance.now() - middle)
      if (round > 0) continue
      check(coder, encoded, streams)
      sizes.set(coder, coder.bytes(encoded))
    }
  const speed = (milliseconds) => rounded(count / median(milliseconds.slice(milliseconds.length > 1 ? 1 : 0)) / 1e3, 2)
  return {
    name,
    symbols: count,
    entropyBytes: Math.ceil(sum(streams.map(({ symbols, alphabet }) => entropyBits(symbols, alphabet))) / 8),
    coders: coders.map((coder) => ({
      name: coder.name,
      bytes: sum(sizes.get(coder)),
      encodeMegasymbols: speed(times.get(coder).encode),
      decodeMegasymbols: speed(times.get(coder).decode),
    })),
    layers: streams.map((stream, i) => measureLayer(stream, sizes.get(coders[0])[i], coders[0].chosen()[i], peers)),
  }
}

/** The size of one layer under ours and under each peer. */
function measureLayer(stream, bytes, codec, peers) {
  const forms = formsOf([stream])
  const others = peers.map((peer) => [peer.name, Math.min(...forms.map(({ source }) => peer.encode(source).length))])
  return { name: stream.name, symbols: stream.symbols.length, codec, bytes, peers: Object.fromEntries(others) }
}

const { peers, close } = openPeers()
const groups = []
const number = (value, width = 10) => String(value).padStart(width)
try {
  console.log(`${cpus().length} cores of ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}, ${rounds} rounds`)
  for (const group of await streamGroups(join(root, '../shared/data'), { load, toFloat32 })) {
    const result = measureGroup(group, peers)
    groups.push(result)
    console.log(`\n## ${result.name}: ${result.symbols} symbols, entropy ${result.entropyBytes} bytes`)
    console.log(`${'coder'.padEnd(26)}     bytes   encode   decode  million symbols/s`)
    for (const coder of result.coders)
      console.log(
        coder.name.padEnd(26) +
          number(coder.bytes) +
          number(coder.encodeMegasymbols, 9) +
          number(coder.decodeMegasymbols, 9),
      )
    console.log(
      `\n${'layer'.padEnd(34)}   symbols${number(OURS)}  ${peers.map((peer) => peer.name.padStart(16)).join('')}`,
    )
    for (const layer of result.layers)
      console.log(
        `${layer.name.slice(0, 34).padEnd(34)}${number(layer.symbols)}${number(layer.bytes)}  ${Object.values(
          layer.peers,
        )
          .map((bytes) => number(bytes, 16))
          .join('')}  ${layer.codec}`,
      )
  }
} finally {
  close()
}

/** Streams on which a peer is as small as ours or smaller. */
const isPeer = (name) => peers.some((peer) => name.startsWith(`${peer.name}, `))
const lost = groups.flatMap((group) => [
  ...group.coders
    .filter(({ name, bytes }) => isPeer(name) && bytes <= group.coders[0].bytes)
    .map((coder) => ({
      stream: `${group.name}, in total`,
      ours: group.coders[0].bytes,
      peer: coder.name,
      bytes: coder.bytes,
    })),
  ...group.layers.flatMap((layer) =>
    Object.entries(layer.peers)
      .filter(([, bytes]) => bytes <= layer.bytes)
      .map(([peer, bytes]) => ({ stream: `${group.name}, ${layer.name}`, ours: layer.bytes, peer, bytes })),
  ),
])
const streamCount = sum(groups.map(({ layers }) => layers.length + 1))
console.log(
  `\nOurs is smaller than every peer on ${streamCount - new Set(lost.map(({ stream }) => stream)).size} of ${streamCount} streams.`,
)
for (const { stream, ours, peer, bytes } of lost) console.log(`  ${stream}: ${ours}, ${peer} ${bytes}`)

const result = {
  date: new Date().toISOString(),
  node: process.version,
  cpu: cpus()[0].model,
  cores: cpus().length,
  load: loadavg(),
  rounds,
  streams: streamCount,
  lost,
  groups,
}
mkdirSync(join(folder, 'results'), { recursive: true })
writeFileSync(join(folder, 'results', 'coders.json'), `${JSON.stringify(result, null, 2)}\n`)
