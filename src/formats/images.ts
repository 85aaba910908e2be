import { DataError } from '../errors.ts'

/** What an image file is cut and stretched to. */
export interface ImageGeometry {
  /** Size of the result in pixels. */
  readonly height: number
  readonly width: number
  /** The short side is brought to this length before the centre is cut out; `squash` stretches the whole image instead. */
  readonly fit: { readonly shortSide: number } | 'squash'
  readonly channels: 'rgb' | 'bgr' | 'grey'
}

/** The file endings that are taken for images. */
export const imageEndings = /\.(?:jpe?g|png|webp|gif|tiff?|avif|bmp)$/i

/** An image that would take more than this many pixels unpacked is refused. */
const maximalPixels = 100_000_000

/**
 * Decodes an image file, turns it upright, lays transparent parts on black, and brings it to a size.
 * @returns eight-bit values, `[channels, height, width]`.
 * @throws DataError when the file is no image, is cut off, or is too large.
 */
export async function readImage(path: string, geometry: ImageGeometry): Promise<Uint8Array> {
  const { height, width, fit, channels } = geometry
  try {
    // Loaded when the first image is read: its native library takes memory and time that other work does not need.
    const { default: sharp } = await import('sharp')
    const source = sharp(path, { failOn: 'error', limitInputPixels: maximalPixels })
    const { autoOrient } = await source.metadata()
    let image = source.autoOrient().flatten({ background: 'black' })
    if (fit === 'squash') image = image.resize(width, height, { fit: 'fill' })
    else {
      const factor = Math.max(
        fit.shortSide / Math.min(autoOrient.width, autoOrient.height),
        width / autoOrient.width,
        height / autoOrient.height,
      )
      const scaledWidth = Math.max(width, Math.round(autoOrient.width * factor))
      const scaledHeight = Math.max(height, Math.round(autoOrient.height * factor))
      image = image
        .resize(scaledWidth, scaledHeight, { fit: 'fill' })
        .extract({ left: (scaledWidth - width) >> 1, top: (scaledHeight - height) >> 1, width, height })
    }
    image = channels === 'grey' ? image.toColourspace('b-w') : image.toColourspace('srgb')
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true })
    return separate(data, info.channels, channels, height * width)
  } catch (cause) {
    if (cause instanceof DataError) throw cause
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new DataError('image-damaged', `the image cannot be decoded: ${reason}`, {
      place: path,
      hint: 'Take the file out of the data set, or replace it by a whole JPEG, PNG, WebP, GIF, TIFF or AVIF.',
      cause,
    })
  }
}

/** From interleaved values to one plane a channel. */
function separate(data: Uint8Array, stored: number, order: ImageGeometry['channels'], plane: number): Uint8Array {
  const wanted = order === 'grey' ? [0] : order === 'rgb' ? [0, 1, 2] : [2, 1, 0]
  const result = new Uint8Array(wanted.length * plane)
  wanted.forEach((channel, position) => {
    const from = Math.min(channel, stored - 1)
    for (let i = 0; i < plane; i++) result[position * plane + i] = data[i * stored + from]
  })
  return result
}
