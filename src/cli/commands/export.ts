import { Argument } from 'commander'
import { writeFileAtomic } from '../../formats/files.ts'
import { foreignFormats } from '../../formats/index.ts'
import { defineCommand } from '../command.ts'
import { checkOutputs, inFile, loadModel, withEnding } from '../files.ts'
import { formatBytes } from '../format.ts'
import { formatFacts } from '../table.ts'

const writable = [...foreignFormats.values()].filter(({ write }) => write)

/** Writes a model in another program's format. */
export const exportCommand = defineCommand<{ output?: string }>({
  name: 'export',
  summary: `Writes a model in another format: ${writable.map(({ name }) => name).join(', ')}.`,
  examples: [
    [
      'espalier export deep-compression squeezenet.espalier -o squeezenet.net',
      "writes the weights as Deep Compression's authors do; a file that came from them comes back byte for byte",
    ],
  ],
  configure(command) {
    command
      .addArgument(new Argument('<format>', 'the format').choices(writable.map(({ name }) => name)))
      .argument('<model>', 'an .onnx or .espalier file')
      .option('-o, --output <file>', "the file to write (default: the name of the model with the format's ending)")
  },
  async execute([name, path], options, { progress }) {
    const format = foreignFormats.get(name)!
    const output = options.output ?? withEnding(path, format.ending)
    await checkOutputs([output], [path])
    const { model, fileBytes } = await loadModel(path, progress.listener)
    const content = inFile(path, () => format.write!(model, progress.listener))
    const bytes = await writeFileAtomic(output, content)
    return {
      data: { format: name, model: path, modelBytes: fileBytes, output, bytes },
      text: formatFacts([
        ['model', `${path}, ${formatBytes(fileBytes)}`],
        [name, `${output}, ${formatBytes(bytes)}`],
      ]),
    }
  },
})
