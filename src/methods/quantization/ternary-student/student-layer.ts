/** All rows of a layer: the neurons of the student, or its scaled outputs. */
import type { Model } from '../../../ir/model.ts'
import { layers } from '../../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../../tensor/half.ts'
import type { Tensor } from '../../../tensor/tensor.ts'
import { biasOfRows, ownBiases } from '../../layer-biases.ts'
import type { WeightRows } from '../../weight-rows.ts'
import { withInitializers } from '../../weights.ts'
import { storedScale, withIntegerCodes } from '../integer-codes.ts'
import { teacherFiring, ternaryNeuron } from './neuron.ts'
import type { Observations } from './observations.ts'
import { scaledRow } from './scaled-row.ts'
import type { NeuronSite, StudentNeurons } from './sites.ts'

export interface LayerOfRows {
  readonly rows: WeightRows
  /** The teacher's, in the order of the initializer. */
  readonly weights: Float32Array
  /** What the layer of the student reads, */
  readonly student: Observations
  /** and that of the teacher, on the same examples and places. */
  readonly teacher: Observations
  readonly pace: (multiplications: number) => Promise<void>
}

/** A row by itself: its weights, what it sees and what the teacher's makes of that. */
interface Row {
  readonly weights: Float64Array
  readonly inputs: Float32Array
  readonly count: number
  readonly whole: boolean
  /** w x of the teacher, [count]. */
  readonly outputs: Float64Array
  /** Puts codes into the place of the row's weights. */
  store(codes: Int8Array, all: Int8Array): void
}

/** The neurons of a layer, and how much they agree with the teacher on average. */
export async function fitNeurons(
  task: LayerOfRows,
  { factor, shift }: Pick<NeuronSite, 'factor' | 'shift'>,
  exhaustive: number,
): Promise<StudentNeurons & { readonly agreement: number; readonly most: number; readonly constant: number }> {
  const codes = new Int8Array(task.weights.length)
  const [low, high] = [new Float64Array(factor.length), new Float64Array(factor.length)]
  let [agreement, most, constant] = [0, 0, 0]
  for (const [c, row] of eachRow(task)) {
    const firing = teacherFiring(row.outputs.map((output) => factor[c] * output + shift[c]))
    const turned = { ...row, weights: row.weights.map((weight) => weight * factor[c]) }
    const neuron = ternaryNeuron(turned, firing, exhaustive)
    row.store(neuron.codes, codes)
    ;[low[c], high[c]] = [neuron.low, neuron.high]
    agreement += neuron.agreement / factor.length
    most += neuron.most / factor.length
    if (!Number.isFinite(neuron.low) && !Number.isFinite(neuron.high)) constant++
    await task.pace((neuron.tried + row.weights.length) * row.count)
  }
  return { codes, low, high, agreement, most, constant }
}

/** The model whose layer has ternary weights times a scale an output; or why it cannot. */
export async function fitRows(
  task: LayerOfRows,
  model: Model,
  weight: string,
): Promise<{ readonly model: Model; readonly explained: number } | string> {
  const { rows } = task
  const layer = layers(model).find((one) => one.weight === weight)!
  const { dtype } = model.graph.initializers.get(weight)!
  const bias = biasOfRows(model, layer, rows, ownBiases(model))
  const codes = new Int8Array(task.weights.length)
  const [scale, shift] = [new Float32Array(rows.count), new Float32Array(rows.count)]
  let explained = 0
  for (const [r, row] of eachRow(task)) {
    const fit = scaledRow(row, row.outputs, bias !== undefined)
    row.store(fit.codes, codes)
    ;[scale[r], shift[r]] = [fit.scale, fit.shift]
    explained += fit.explained / rows.count
    await task.pace((fit.tried + row.weights.length) * row.count)
  }
  const stored = storedScale(dtype, scale)
  if (!stored.every((value) => value > 0 && Number.isFinite(value)))
    return 'its weights are too small or too large for a scale of their type'
  const own = stored.length === 1 ? {} : { axis: layer.outAxis! }
  const coded = withIntegerCodes(model, [{ layer, codes, scale: stored, packed: true, ...own }])
  if (!bias) return { model: coded, explained }
  const values = toFloat32(bias.tensor).map((value, r) => value + shift[r])
  const moved: Tensor = fromFloat32(bias.tensor.dtype, bias.tensor.shape, values)
  return { model: withInitializers(coded, new Map([[bias.name, moved]])), explained }
}

function* eachRow({ rows, weights: all, student, teacher }: LayerOfRows): Generator<readonly [number, Row]> {
  const { count, length, base, stride, groups } = rows
  const size = length * student.count
  const whole = student.inputs.every(Number.isInteger)
  for (let r = 0; r < count; r++) {
    const group = Math.floor(r / (count / groups))
    const weights = Float64Array.from({ length }, (_, k) => all[base[r] + k * stride])
    const seen = teacher.inputs.subarray(group * size, (group + 1) * size)
    const outputs = new Float64Array(student.count)
    for (let k = 0; k < length; k++)
      for (let s = 0; s < student.count; s++) outputs[s] += weights[k] * seen[k * student.count + s]
    yield [
      r,
      {
        weights,
        inputs: student.inputs.subarray(group * size, (group + 1) * size),
        count: student.count,
        whole,
        outputs,
        store: (codes, to) => codes.forEach((code, k) => (to[base[r] + k * stride] = code)),
      },
    ]
  }
}
