import { readFile } from 'node:fs/promises'
import { openData } from '../../datasets/open.ts'
import { readModel } from '../../formats/onnx/read.ts'
import { parseRecipe } from '../../pipelines/recipe.ts'
import { runRecipe } from '../../pipelines/run.ts'
import { evaluate } from '../../training/evaluate.ts'
import { definePaperRow } from '../row.ts'

const file = 'models/squeezenet_fp16.onnx'

export const squeezenetWeightsOnly = definePaperRow({
  name: 'squeezenet-weights-only',
  summary: 'Applies the shipped recipe weights-only, which sees no data, to a pretrained SqueezeNet in half precision.',
  network: 'SqueezeNet 1.1, fp16, 1,235,496 parameters, a file of 2,484,091 bytes',
  data: '500 labelled images of ImageNet classes, none of them seen by the recipe',
  method: 'k-means',
  needs: [file, 'imagenet-sample'],
  figures: [
    { name: 'images right before', unit: 'images', digits: 0 },
    { name: 'images right after', unit: 'images', digits: 0 },
    { name: 'accuracy lost', unit: 'points', atMost: 0.4, headline: true },
    { name: 'pack, share of the fp16 file', unit: '%', atMost: 38, digits: 1, headline: true },
    { name: 'pack', unit: 'bytes', digits: 0 },
  ],
  seeds: [1],
  minutes: 1,
  difference:
    'No paper has this row. The recipe sees no data, but its bits a layer were chosen among about ten settings by their results on these same 500 images, so the margin is optimistic. The images say something about the difference of the two models only.',
  async run({ seed, engine, path, progress, signal }) {
    const bytes = await readFile(path(file))
    const model = readModel(bytes, { place: file })
    const images = await openData(`images:${path('imagenet-sample')}?crop=224&order=bgr&mean=104,117,123`)
    const text = await readFile(new URL('../../pipelines/recipes/weights-only.yaml', import.meta.url), 'utf8')
    const recipe = parseRecipe(text, { file: 'weights-only.yaml' })
    const result = await runRecipe(model, recipe, { engine, seed, progress, signal, latency: false })
    const before = await evaluate(model, images.test, engine, { signal })
    const after = await evaluate(result.model, images.test, engine, { signal })
    return {
      'images right before': before.correct,
      'images right after': after.correct,
      'accuracy lost': 100 * (before.accuracy - after.accuracy),
      'pack, share of the fp16 file': (100 * result.pack.length) / bytes.length,
      pack: result.pack.length,
    }
  },
})
