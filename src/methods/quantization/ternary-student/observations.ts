/** What a layer sees at some places of some examples. */
import { DataError } from '../../../errors.ts'
import { createDraft } from '../../../ir/draft.ts'
import type { Model } from '../../../ir/model.ts'
import { toFloat32Model } from '../../../ir/precision.ts'
import { layers } from '../../../ir/rewrite.ts'
import { inferShapes, rebatch } from '../../../ir/shapes.ts'
import { toFloat32 } from '../../../tensor/half.ts'
import { createRandom } from '../../../tensor/random.ts'
import { createTensor, int64 } from '../../../tensor/tensor.ts'
import { fitInput } from '../../../training/predictor.ts'
import { addColumns, CALIBRATION_BATCH, calibrationSet } from '../../calibration.ts'
import type { Context } from '../../method.ts'
import { weightRows } from '../../weight-rows.ts'

/** The inputs of a layer's rows, drawn from data. */
export interface Observations {
  /** [groups, K, count]: one column an observation. */
  readonly inputs: Float32Array
  readonly groups: number
  /** K, the weights of a row. */
  readonly length: number
  readonly count: number
}

export interface ObservationOptions {
  /** The first examples of the training data are looked at. */
  readonly samples: number
  /** Places of a map that are drawn, an example; all of them where there are no more. */
  readonly places: number
}

/** Numbers of one layer's observations; layers with longer rows are looked at on fewer examples. */
const MOST_NUMBERS = 2 ** 23

/**
 * Runs the model on training examples. The places are drawn from the seed: those of two models with the same layer are
 * the same.
 * @returns undefined where the rows of the layer, or how many places it looks at, cannot be told.
 * @throws UsageError when there is no data, or it does not fit the model; DataError when the layer reads what is not
 * finite.
 */
export async function observe(
  model: Model,
  weight: string,
  options: ObservationOptions,
  context: Context,
): Promise<Observations | undefined> {
  const data = calibrationSet(context)
  const layer = layers(model).find((one) => one.weight === weight)
  const rows = layer && weightRows(model, layer)
  if (!rows) return undefined
  const wide = rebatch(toFloat32Model(model), CALIBRATION_BATCH)
  const draft = createDraft(wide)
  draft.outputs.splice(0)
  const columns = addColumns(draft, { layer, rows }, wide)
  const all = inferShapes(draft.finish({ keepUnused: true })).get(columns)?.shape?.[2]
  const { groups, length } = rows
  if (typeof all !== 'number' || all % CALIBRATION_BATCH !== 0 || groups * length * all === 0) return undefined
  const ofExample = all / CALIBRATION_BATCH
  const room = Math.max(1, Math.floor(MOST_NUMBERS / (groups * length)))
  const each = Math.min(options.places, ofExample, room)
  const examples = Math.min(options.samples, data.size, Math.floor(room / each))
  const drawn = draft.input('calibration/places', 'int64', [CALIBRATION_BATCH * each])
  draft.output(draft.add('Gather', [columns, drawn], { axis: 2 }), 'float32')
  const count = examples * each
  const inputs = new Float32Array(groups * length * count)
  const random = createRandom(context.seed)
  const places = Array.from({ length: ofExample }, (_, place) => place)
  const drawPlaces = (example: number) => {
    if (each < ofExample) random.shuffle(places)
    return places.slice(0, each).map((place) => example * ofExample + place)
  }
  const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
  try {
    const input = fitInput(wide, data.inputShape)
    for (let start = 0; start < examples; start += CALIBRATION_BATCH) {
      context.signal?.throwIfAborted()
      context.progress?.({ task: 'calibrate', done: start, total: examples, detail: { layer: layer.name } })
      const batch = await data.batch(Array.from({ length: CALIBRATION_BATCH }, (_, i) => (start + i) % examples))
      const outputs = await session.run({
        [input.name]: createTensor('float32', input.shape(CALIBRATION_BATCH), batch.inputs.data),
        [drawn]: int64(Array.from({ length: CALIBRATION_BATCH }, (_, i) => drawPlaces(i)).flat()),
      })
      const seen = toFloat32(outputs[session.outputs[0]])
      const present = Math.min(CALIBRATION_BATCH, examples - start) * each
      for (let row = 0; row < groups * length; row++) {
        const from = row * CALIBRATION_BATCH * each
        inputs.set(seen.subarray(from, from + present), row * count + start * each)
      }
    }
  } finally {
    await session.close()
  }
  const wrong = inputs.find((value) => !Number.isFinite(value))
  if (wrong !== undefined)
    throw new DataError('calibration-not-finite', `layer '${layer.name}' reads ${wrong} on calibration data`, {
      place: layer.name,
      hint: `Look for examples of '${data.name}' that are not finite, or exclude the layer.`,
    })
  return { inputs, groups, length, count }
}
