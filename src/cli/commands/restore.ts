import { writeFileAtomic } from '../../formats/files.ts'
import { writeModelFile } from '../../formats/onnx/file.ts'
import { unpack } from '../../formats/pack/unpack.ts'
import { defineCommand, type CommandContext } from '../command.ts'
import { checkOutputs, inFile, readBytes, withEnding } from '../files.ts'
import { addSourceOptions, loadSource, sourceFiles, type SourceOptions } from '../foreign.ts'
import { formatBytes } from '../format.ts'
import { formatFacts } from '../table.ts'

/** Gives the ONNX file of a pack back. */
export const restore = defineCommand<SourceOptions & { output?: string }>({
  name: 'restore',
  summary: 'Unpacks an .espalier file, or one of another format, to the ONNX file that it stands for, bit for bit.',
  examples: [
    ['espalier restore model.espalier -o model.onnx', 'writes plain ONNX that any runtime takes'],
    [
      'espalier restore --from deep-compression --prototxt deploy.prototxt net.net -o net.onnx',
      "does so with a network that Deep Compression's authors published",
    ],
  ],
  configure(command) {
    command.argument('<pack>', 'the .espalier file, or another with --from')
    addSourceOptions(command)
    command.option('-o, --output <file>', 'the ONNX file to write (default: the same name with .onnx)')
  },
  async execute([path], options, context) {
    const output = options.output ?? withEnding(path, '.onnx')
    await checkOutputs([output], sourceFiles(path, options))
    const { fileBytes, bytes } = await writeRestored(path, output, options, context)
    return {
      data: { pack: path, packBytes: fileBytes, onnx: output, onnxBytes: bytes },
      text: formatFacts([
        [options.from ?? 'pack', `${path}, ${formatBytes(fileBytes)}`],
        ['ONNX', `${output}, ${formatBytes(bytes)}`],
      ]),
    }
  },
})

/** The ONNX of a pack is there byte by byte; that of a foreign file is written anew. */
async function writeRestored(path: string, output: string, options: SourceOptions, context: CommandContext) {
  if (options.from !== undefined || sourceFiles(path, options).length > 1) {
    const { model, fileBytes } = await loadSource(path, options, context)
    return { fileBytes, bytes: await writeModelFile(output, model) }
  }
  const pack = await readBytes(path)
  const onnx = inFile(path, () => unpack(pack, { progress: context.progress.listener }))
  return { fileBytes: pack.length, bytes: await writeFileAtomic(output, onnx) }
}
