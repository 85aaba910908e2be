import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { entropyBits } from '../../src/codecs/accounting.ts'
import { symbolArray, takesAlphabet, type SymbolStream } from '../../src/codecs/codec.ts'
import { codecs } from '../../src/codecs/index.ts'
import { DataError } from '../../src/errors.ts'
import { createRandom } from '../../src/tensor/random.ts'

/** Streams as methods make them: mostly zeros, bell-shaped, flat, constant, ascending; in shapes of rank 0 to 4. */
const streams: fc.Arbitrary<SymbolStream> = fc
  .record({
    alphabet: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(2, 255, 256, 257, 1000, 65535, 65536)),
    shape: fc.oneof(
      fc.constant([]),
      fc.tuple(fc.integer({ min: 0, max: 400 })),
      fc.tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 })),
      fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), fc.constant(3), fc.constant(3)),
    ),
    form: fc.constantFrom('sparse', 'bell', 'flat', 'constant', 'last'),
    seed: fc.nat(),
  })
  .map(({ alphabet, shape, form, seed }) => {
    const random = createRandom(seed)
    const symbols = symbolArray(
      alphabet,
      shape.reduce((product, size) => product * size, 1),
    )
    for (let i = 0; i < symbols.length; i++) {
      if (form === 'flat' || (form === 'sparse' && random.uniform() < 0.1)) symbols[i] = random.integer(alphabet)
      else if (form === 'bell')
        symbols[i] = Math.max(0, Math.min(alphabet - 1, Math.round(alphabet * (0.5 + 0.1 * random.normal()))))
      else if (form === 'constant') symbols[i] = alphabet >> 1
      else if (form === 'last') symbols[i] = alphabet - 1
    }
    return { symbols, alphabet, shape }
  })

for (const codec of codecs.values())
  describe(`codec ${codec.name}`, () => {
    const fitting = streams.filter(({ alphabet }) => takesAlphabet(codec, alphabet))

    it('is documented, with a number of its own', () => {
      expect(codec.summary).toMatch(/^[A-Z].*\.$/)
      expect([...codecs.values()].filter(({ id }) => id === codec.id)).toEqual([codec])
    })

    it('gives back what it was given, and the same bytes each time', () => {
      fc.assert(
        fc.property(fitting, (stream) => {
          const before = stream.symbols.slice()
          const bytes = codec.encode(stream)
          const decoded = codec.decode(bytes, stream.symbols.length, stream.alphabet, stream.shape)
          expect(decoded).toEqual(stream.symbols)
          expect(stream.symbols).toEqual(before)
          expect(codec.encode(stream)).toEqual(bytes)
        }),
        { numRuns: 80 },
      )
    })

    if (codec.isStatic)
      it('takes no fewer bits than the entropy', () => {
        fc.assert(
          fc.property(fitting, (stream) => {
            const bits = entropyBits(stream.symbols, stream.alphabet)
            expect(codec.encode(stream).length * 8).toBeGreaterThanOrEqual(bits - 1e-6)
          }),
          { numRuns: 60 },
        )
      })

    it('refuses damaged bytes with a DataError, or gives symbols of the alphabet', () => {
      fc.assert(
        fc.property(fitting, fc.nat(), fc.nat(), fc.constantFrom('cut', 'flip', 'more'), (stream, at, bit, damage) => {
          let bytes = codec.encode(stream)
          if (damage === 'cut') bytes = bytes.slice(0, at % (bytes.length + 1))
          else if (damage === 'more') bytes = Uint8Array.from([...bytes, at & 255])
          else if (bytes.length > 0) bytes[at % bytes.length] ^= 1 << (bit & 7)
          try {
            const decoded = codec.decode(bytes, stream.symbols.length, stream.alphabet, stream.shape)
            expect(decoded.length).toBe(stream.symbols.length)
            for (const symbol of decoded) if (symbol >= stream.alphabet) expect(symbol).toBeLessThan(stream.alphabet)
          } catch (error) {
            expect(error).toBeInstanceOf(DataError)
          }
        }),
        { numRuns: 120 },
      )
    })

    it('finds bytes that end early or are left over', () => {
      const random = createRandom(3)
      const symbols = Uint8Array.from({ length: 500 }, () => random.integer(16))
      const alphabet = 16
      const bytes = codec.encode({ symbols, alphabet })
      expect(() => codec.decode(bytes.slice(0, bytes.length - 8), 500, alphabet)).toThrow(DataError)
      expect(() => codec.decode(Uint8Array.from([...bytes, 1, 2, 3, 4, 5, 6]), 500, alphabet)).toThrow(DataError)
      // No bytes at all may stand for nothing but zeros, which need no decision.
      let found: ArrayLike<number> | undefined
      try {
        found = codec.decode(new Uint8Array(0), 500, alphabet)
      } catch (error) {
        expect(error).toBeInstanceOf(DataError)
      }
      if (found) expect(Array.from(found).every((symbol) => symbol === 0)).toBe(true)
    })
  })
