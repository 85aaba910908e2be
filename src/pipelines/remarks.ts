import { methods } from '../methods/index.ts'
import type { RunReport } from './result.ts'

const percent = (share: number) => `${(share * 100).toPrecision(3)} %`

/** The families whose weights are integer codes. */
const withCodes: ReadonlySet<string | undefined> = new Set(['quantization', 'factorization'])

/** Says, in whole sentences, where a result is not smaller, not faster or not proven, and why. */
export function remarksOn(report: Omit<RunReport, 'remarks'>): string[] {
  const remarks: string[] = []
  const { files, latency, size, accuracy, budget, work } = report
  const zeros = 1 - size.weightsKept / Math.max(1, size.weights)
  const cut = work !== undefined && work.macsAfter < work.macsBefore * 0.9
  const coded = report.stages.some(({ method }) => withCodes.has(methods.get(method)?.family))
  const untouched = size.weights > 0 && zeros <= 0.01 && !cut && size.ratios.storage < 1.1
  const zerosBefore = report.layers.reduce((sum, { before }) => sum + before.zeros, 0) / Math.max(1, size.weights)
  if (zerosBefore > 0.01)
    remarks.push(
      `Of the original's weights ${percent(zerosBefore)} were zero already: all ratios count them as this recipe's work.`,
    )
  if (untouched)
    remarks.push(
      `Hardly a weight was removed or shared: ${
        coded ? 'what quantizes activations leaves weights as they are, so add a step for weights' : 'ask for more'
      }, or see under what was left alone why nothing went. What the pack saves is the coding of the weights as they are.`,
    )
  if (size.weights === 0)
    remarks.push(
      'There was nothing to compress: no layer has float weights. Integer models and models of other operators are only packed.',
    )
  else if (files.pack >= files.originalOnnx)
    remarks.push(
      `The pack is not smaller than the original file. ${
        report.layers.every(({ bytesAfter, bytesBefore }) => bytesAfter >= bytesBefore * 0.9)
          ? 'No step of the recipe removed or shared enough weights.'
          : 'The weights are smaller; what is left is the graph and the tensors that no step touched.'
      }`,
    )
  if (files.onnx > files.originalOnnx * 0.9 && !untouched)
    remarks.push(
      `The ONNX file is ${files.onnx >= files.originalOnnx ? 'not smaller' : 'hardly smaller'} than the original's: ${
        zeros > 0.01 ? 'ONNX stores zeros like any other number, ' : 'ONNX stores codes in whole bytes, '
      }and only the pack is entropy-coded. Ship the pack.`,
    )
  if (latency && latency.after.medianMs > latency.before.medianMs * 0.95 && !untouched) {
    const change = latency.after.medianMs / latency.before.medianMs
    remarks.push(
      `It does not run faster in ${latency.engine} (${change.toFixed(2)} times the time). ${
        cut
          ? 'It has fewer multiply-accumulates, but engines compute in blocks of channels: keep multiples of 8 or 16 of them.'
          : `${
              coded
                ? 'Integer codes become floats again in every run, places in a codebook once, and floats are multiplied as before.'
                : zeros > 0.01
                  ? 'Pruned weights are zeros in dense tensors, and the engine multiplies with them all the same.'
                  : 'Shared weights are looked up once, when the session is made, and then multiplied as before.'
            } Removing whole filters or computing with integers makes a network faster.`
      }`,
    )
  }
  for (const [i, stage] of report.stages.entries()) {
    const before = report.stages[i - 1]?.size
    if (before && stage.size.packBytes > before.packBytes && stage.size.weightsKept === before.weightsKept)
      remarks.push(
        `The step ${stage.method} makes the pack larger, ${before.packBytes} → ${stage.size.packBytes} bytes: where a recipe asks for no coder, each part of the pack gets the one that makes it smallest. Leave the step out for the smaller file.`,
      )
  }
  for (const layer of report.layers) {
    if (layer.bytesAfter < layer.bytesBefore * 0.95) continue
    const reason = report.skipped.find((skip) => skip.layer === layer.name)?.reason
    remarks.push(
      `Layer ${layer.name} takes ${layer.bytesAfter} bytes in the pack, ${layer.bytesBefore} before: ${
        reason ?? 'its weights neither became zeros nor share values, and floats hardly compress'
      }.`,
    )
  }
  if (accuracy && accuracy.after.accuracy < accuracy.before.accuracy) {
    const steps = report.stages.map(({ method }) => method)
    const touched = report.layers.filter(
      ({ name }) =>
        !steps.every((method) => report.skipped.some((skip) => skip.layer === name && skip.method === method)),
    )
    const worst = touched.reduce((a, b) => ((b.outputError ?? 0) > (a?.outputError ?? -1) ? b : a), touched[0])
    const lost = accuracy.before.correct - accuracy.after.correct
    remarks.push(
      `${lost} more of the ${accuracy.before.count} examples ${lost === 1 ? 'is' : 'are'} wrong. ${
        worst?.outputError === undefined
          ? ''
          : `The outputs differ most after ${worst.name} (${percent(worst.outputError)}): be milder there first.`
      }`.trim(),
    )
  }
  if (!accuracy) remarks.push('Accuracy was not measured: there was no data.')
  if (!latency) remarks.push('Latency was not measured.')
  if (budget && !budget.met)
    remarks.push(
      `The budget of ${budget.maxAccuracyLoss} points was not met: the best of ${budget.tried.length} runs lost ${budget.accuracyLoss.toFixed(2)}.`,
    )
  for (const { check, passed, detail } of report.proof)
    if (!passed) remarks.push(`NOT PROVEN: ${check}: ${detail}. Do not ship this result; please report a bug.`)
  return remarks
}
