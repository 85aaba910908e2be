import type { Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import type { Model } from '../ir/model.ts'
import type { ProgressListener } from '../progress.ts'
import { createTensor, type Tensor } from '../tensor/tensor.ts'
import { aborted } from './evaluate.ts'
import { createPredictor } from './predictor.ts'

export interface TeacherOptions {
  readonly model: Model
  /** Softmax temperature of both teacher and student. */
  readonly temperature: number
  /** Share of the teacher's divergence in the loss, in [0, 1]; the rest is cross-entropy with the labels. */
  readonly weight: number
}

export interface Teacher {
  /**
   * `[steps, N, ...inputShape]` → logits `[steps · N, classes]`.
   * @param examples which examples of the data they are.
   */
  logits(images: Tensor<'float32'>, examples: Uint32Array): Promise<Tensor<'float32'>>
  close(): Promise<void>
}

/** Logits of up to so many numbers are kept: 256 MB. */
const MOST_KEPT = 2 ** 26
/** Examples that the teacher sees at once when its answers are kept. */
const AT_ONCE = 256

export interface TeacherSetting {
  readonly data: Dataset
  readonly engine: Engine
  readonly threads?: number
  /** Whether the images of an example are the same each time: then the teacher looks at each only once. */
  readonly fixed: boolean
  readonly signal?: AbortSignal
  readonly progress?: ProgressListener
}

/** A teacher sees the same examples as the student, augmentation included. */
export async function createTeacher({ model }: TeacherOptions, setting: TeacherSetting): Promise<Teacher> {
  const { data, engine, threads, fixed } = setting
  const predictor = await createPredictor(model, data.inputShape, engine, threads === undefined ? {} : { threads })
  const predict = async (images: Tensor<'float32'>): Promise<Tensor<'float32'>> => {
    const found = await predictor.predict(images)
    // Logarithms of probabilities differ from logits by a constant a row, which the softmax does not see.
    if (predictor.form !== 'probabilities') return found
    return createTensor(
      'float32',
      found.shape,
      found.data.map((value) => Math.log(Math.max(value, 1e-30))),
    )
  }
  let kept: Tensor<'float32'> | undefined
  return {
    async logits(images, examples) {
      if (fixed && data.size * data.classes <= MOST_KEPT) {
        kept ??= await allLogits(predict, setting)
        return rowsOf(kept, examples)
      }
      return predict(createTensor('float32', [examples.length, ...data.inputShape], images.data))
    },
    close: () => predictor.close(),
  }
}

/** The logits of all examples, in their order, so that they do not depend on the order of the training. */
async function allLogits(
  predict: (images: Tensor<'float32'>) => Promise<Tensor<'float32'>>,
  { data, signal, progress }: TeacherSetting,
): Promise<Tensor<'float32'>> {
  let all: Float32Array | undefined
  let classes = 0
  for (let start = 0; start < data.size; start += AT_ONCE) {
    if (signal?.aborted) throw aborted('training')
    const count = Math.min(AT_ONCE, data.size - start)
    const { inputs } = await data.batch(Array.from({ length: count }, (_, i) => start + i))
    const found = await predict(inputs)
    classes = found.shape[1]
    all ??= new Float32Array(data.size * classes)
    all.set(found.data, start * classes)
    progress?.({ task: 'teacher', done: start + count, total: data.size })
  }
  return createTensor('float32', [data.size, classes], all!)
}

function rowsOf({ data, shape: [, classes] }: Tensor<'float32'>, rows: Uint32Array): Tensor<'float32'> {
  const result = new Float32Array(rows.length * classes)
  for (let i = 0; i < rows.length; i++)
    result.set(data.subarray(rows[i] * classes, (rows[i] + 1) * classes), i * classes)
  return createTensor('float32', [rows.length, classes], result)
}
