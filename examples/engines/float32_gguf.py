"""A GGUF file with every tensor in float32 and all else as it was.

llama.cpp rounds what meets quantised weights to eight bits, transformers does not: only in float32
can the two be held against each other.

pip install gguf
python float32_gguf.py IN.gguf OUT.gguf
"""

from __future__ import annotations

import argparse
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter, Keys, LlamaFileType, dequantize


def write_float32(source: Path, out: Path) -> None:
    """Copy every field but the name of the file's quantisation; dequantise every tensor."""
    reader = GGUFReader(source)
    writer = GGUFWriter(out, reader.fields[Keys.General.ARCHITECTURE].contents())
    by_the_writer = (Keys.General.ARCHITECTURE, Keys.General.FILE_TYPE)
    for name, field in reader.fields.items():
        if name in by_the_writer or name.startswith("GGUF."):
            continue
        kind, *inner = field.types
        element = inner[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, element)
    writer.add_file_type(LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    write_float32(given.source, given.out)


if __name__ == "__main__":
    main()
