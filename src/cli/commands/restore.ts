import { writeFileAtomic } from '../../formats/files.ts'
import { unpack } from '../../formats/pack/unpack.ts'
import { defineCommand } from '../command.ts'
import { checkOutputs, inFile, readBytes, withEnding } from '../files.ts'
import { formatBytes } from '../format.ts'
import { formatFacts } from '../table.ts'

/** Gives the ONNX file of a pack back. */
export const restore = defineCommand<{ output?: string }>({
  name: 'restore',
  summary: 'Unpacks an .espalier file to the ONNX file that it was made from, bit for bit.',
  examples: [['espalier restore model.espalier -o model.onnx', 'writes plain ONNX that any runtime takes']],
  configure(command) {
    command
      .argument('<pack>', 'the .espalier file')
      .option('-o, --output <file>', 'the ONNX file to write (default: the same name with .onnx)')
  },
  async execute([path], options) {
    const output = options.output ?? withEnding(path, '.onnx')
    await checkOutputs([output], [path])
    const pack = await readBytes(path)
    const bytes = await writeFileAtomic(
      output,
      inFile(path, () => unpack(pack)),
    )
    return {
      data: { pack: path, packBytes: pack.length, onnx: output, onnxBytes: bytes },
      text: formatFacts([
        ['pack', `${path}, ${formatBytes(pack.length)}`],
        ['ONNX', `${output}, ${formatBytes(bytes)}`],
      ]),
    }
  },
})
