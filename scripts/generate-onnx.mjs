/**
 * Compiles the official ONNX schema, src/formats/onnx/onnx.proto, to src/formats/onnx/onnx_pb.ts.
 * The compilers are fetched for the run (`npx`), because nothing else needs them: the result is checked in.
 */
import { execFileSync } from 'node:child_process'

const template = {
  version: 'v2',
  plugins: [{ local: 'protoc-gen-es', out: 'src/formats/onnx', opt: ['target=ts', 'import_extension=none'] }],
}
execFileSync(
  'npx',
  [
    '--yes',
    '--package=@bufbuild/buf@1.75.0',
    '--package=@bufbuild/protoc-gen-es@2.17.0',
    '--',
    'buf',
    'generate',
    'src/formats/onnx',
    '--template',
    JSON.stringify(template),
  ],
  { stdio: 'inherit' },
)
