import { describe, expect, it } from 'vitest'
import { createDraft } from '../../../src/ir/draft.ts'
import { partName, partsOfLayers } from '../../../src/methods/layer-parts.ts'
import { float32 } from '../../../src/tensor/tensor.ts'

/** Matrix products one behind the other, by name; names with a ! are Relus. */
function chain(...names: string[]) {
  const draft = createDraft()
  let value = draft.input('x', 'float32', ['n', 2])
  for (const name of names)
    value = name.endsWith('!')
      ? draft.add('Relu', [value], {}, { name: name.slice(0, -1) })
      : draft.add('MatMul', [value, draft.constant('w', float32([1, 2, 3, 4], [2, 2]))], {}, { name })
  draft.output(value, 'float32', ['n', 2])
  return draft.finish()
}

const found = (before: readonly string[], after: readonly string[]) =>
  Object.fromEntries(
    [...partsOfLayers(chain(...before), chain(...after))].map(([name, nodes]) => [
      name,
      nodes.map((node) => node.name),
    ]),
  )

describe('partsOfLayers', () => {
  it('finds what is called after a layer that is gone, in order', () => {
    expect(partName('fc', 'v')).toBe('fc.v')
    expect(found(['fc', 'last'], ['fc.v', 'fc.d!', 'fc.u', 'last'])).toEqual({ fc: ['fc.v', 'fc.d', 'fc.u'] })
  })

  it('takes the longest name, and the parts of parts', () => {
    expect(found(['a', 'a.b'], ['a', 'a.b.v', 'a.b.u.v', 'a.b.u.u'])).toEqual({
      'a.b': ['a.b.v', 'a.b.u.v', 'a.b.u.u'],
    })
    expect(found(['a', 'a.b'], ['a.v', 'a.u', 'a.b.v', 'a.b.u'])).toEqual({
      'a.b': ['a.b.v', 'a.b.u'],
      a: ['a.v', 'a.u'],
    })
  })

  it('takes no node that was there before, and none of a layer that still is', () => {
    expect(found(['fc', 'fc.relu!', 'last'], ['fc.v', 'fc.u', 'fc.relu!', 'last'])).toEqual({ fc: ['fc.v', 'fc.u'] })
    expect(found(['fc'], ['fc', 'fc.v'])).toEqual({})
    expect(found(['fc'], ['fcv', 'other'])).toEqual({})
  })
})
