"""Which safetensors files of a directory are the checkpoint, and where every tensor lies.

The rule is the one stock loading follows (`transformers.modeling_utils`): the file that
`config.json` names in `transformers_weights`, else `model.safetensors`, else
`model.safetensors.index.json` and the shards it names. Where both lie there, other engines prefer
the index, so both must be whole. A directory without these may hold exactly
one other index or one other safetensors file. Every other weight file (stale shards, a
`consolidated.safetensors`) is not part of what loads: it is copied, never edited, and said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from talo_export.checkpoint.files import GGUF, BaseFile, list_files, safe_name
from talo_export.checkpoint.header import Header, TensorEntry, read_header
from talo_export.errors import TaloError, UsageError
from talo_export.wording import first_of

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
UNDO_FILE = "talo_export_undo.safetensors"
KEPT = ".talo_export_base/"
"""What an export adds beside the weights: the original tensors (`--keep-undo`), and files of its
base that had to make room. Never part of a checkpoint, even where they hold tensors."""
CONTAINERS = (".safetensors", GGUF)
"""What the names of files with tensors end with."""
GGUF_CONFIG = {"quantization_config": {"quant_method": "gguf"}}
"""GGUF has no `config.json`; this is what transformers would write into it."""
MAX_INDEX_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Located:
    """A tensor and the file (relative name) it lies in."""

    file: str
    entry: TensorEntry


@dataclass(frozen=True)
class Layout:
    """A checkpoint directory, understood: every file, every shard's header, every tensor."""

    directory: Path
    """Or the `.gguf` file."""
    files: tuple[BaseFile, ...]
    shards: Mapping[str, Header]
    """The files stock loading reads, by relative name, in the index's order."""
    tensors: Mapping[str, Located]
    index: str | None
    config: Mapping[str, Any]
    """`config.json`, parsed; empty where there is none."""
    warnings: tuple[str, ...]
    """One sentence each: weight files that are left alone, tensors that the index forgot."""
    twin: Layout | None = None
    """The same model once more, where an index lies beside the single file."""

    @cached_property
    def names(self) -> list[str]:
        """The tensors' names, sorted: what begins alike is together."""
        return sorted(self.tensors)

    def source(self, name: str) -> Path:
        """The resolved path of the file called `name`."""
        return next(file.source for file in self.files if file.name == name)

    def read(self, tensor: Located) -> bytes:
        """The bytes of a small tensor."""
        with self.source(tensor.file).open("rb") as file:
            file.seek(tensor.entry.offset)
            return file.read(tensor.entry.nbytes)


def read_layout(directory: Path) -> Layout:
    """Read every shard's header below `directory`. Raises `TaloError` on anything unsound.

    A `.gguf` file in its place is a checkpoint of one file, whatever lies beside it.
    """
    files = list_files(directory)
    if len(files) == 1 and directory.is_file():
        header = read_tensors(directory)
        tensors = {name: Located(files[0].name, entry) for name, entry in header.tensors.items()}
        return Layout(directory, files, {files[0].name: header}, tensors, None, GGUF_CONFIG, ())
    names = {file.name: file for file in files}
    config = _json_object(names["config.json"]) if "config.json" in names else {}
    explicit = config.get("transformers_weights")
    chosen = _choose(directory, names, safe_name(explicit, "config.json") if explicit else None)
    layout = _follow(chosen, Layout(directory, files, {}, {}, None, config, ()))
    twin = _twin(layout) if chosen == SINGLE and INDEX in names else None
    loaded = {*layout.shards, *(twin.shards if twin else ())}
    warnings = tuple(
        f"{name} is not loaded by stock engines' rules, so it is carried over as it is."
        for name in names
        if name.endswith(".safetensors") and name not in loaded and not _is_ours(name)
    )
    if twin is not None:
        said = f"{INDEX} names a second copy of the model, which other engines load: both are cut."
        warnings = (*twin.warnings, said, *warnings)
    return replace(layout, twin=twin, warnings=layout.warnings + warnings)


def _follow(chosen: str, empty: Layout) -> Layout:
    """The layout by the index or the single file `chosen`."""
    directory, names = empty.directory, {file.name: file for file in empty.files}
    weight_map = _weight_map(names[chosen]) if chosen.endswith(".json") else {}
    shards = tuple(dict.fromkeys(weight_map.values())) or (chosen,)
    for shard in shards:
        if shard not in names:
            raise TaloError(
                f"{directory / chosen} names the shard {shard!r}, which is not there: "
                "download the base again."
            )
    headers = {shard: read_header(names[shard].source) for shard in shards}
    tensors = _locate(headers, directory)
    index = chosen if weight_map else None
    warnings = _check_index(weight_map, tensors, directory, index)
    return replace(empty, shards=headers, tensors=tensors, index=index, warnings=warnings)


def _twin(layout: Layout) -> Layout | None:
    """The model as the index beside the single file has it: transformers loads the one, vLLM and
    MLX the other. None where the index names the single file. Raises `TaloError` where the two
    do not hold the same tensors."""
    why = "they do not hold the same tensors"
    try:
        twin = _follow(INDEX, layout)
        if set(twin.shards) == {SINGLE}:
            return None
        if _forms(twin) == _forms(layout):
            return twin
    except TaloError as error:
        why = str(error)
    raise TaloError(
        f"{layout.directory} holds {SINGLE} and {INDEX}, of which some engines load the one and "
        f"some the other; remove the one that is not meant, for it is not whole: {why}"
    )


def _forms(layout: Layout) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (one.entry.dtype, one.entry.shape) for name, one in layout.tensors.items()}


def read_tensors(path: Path) -> Header:
    """The header of a weight file of either container, by its name's end."""
    if path.suffix != GGUF:
        return read_header(path)
    from talo_export.checkpoint.gguf_header import read_gguf

    return read_gguf(path).header


def _choose(directory: Path, names: Mapping[str, BaseFile], explicit: str | None) -> str:
    """The single file or the index that stands for the checkpoint."""
    for name in (explicit, SINGLE, INDEX):
        if name is not None and name in names:
            return name
        if name is not None and name == explicit:
            raise TaloError(f"{directory}/config.json names {name!r}, which is not there.")
    candidates = [name for name in names if not _is_ours(name)]
    indices = [name for name in candidates if ".safetensors.index" in name and name[-5:] == ".json"]
    singles = [
        name
        for name in candidates
        if name.endswith(".safetensors") and not name.startswith("adapter_model")
    ]
    for found in (indices, singles):
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise TaloError(
                f"{directory} holds several weight files and none is {SINGLE} or {INDEX} "
                f"({first_of(found, 4)}): give the directory of one checkpoint."
            )
    raise _no_safetensors(directory, names)


def _is_ours(name: str) -> bool:
    return name == UNDO_FILE or name.startswith(KEPT)


def _no_safetensors(directory: Path, names: Mapping[str, BaseFile]) -> TaloError:
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        return TaloError(
            f"{directory} holds only pickled weights ({pickled[0]}): convert them first with "
            f'python -c "import transformers as t; '
            f"m = t.AutoModelForCausalLM.from_pretrained('{directory}', dtype='auto'); "
            f"m.save_pretrained('{directory}-safetensors')\", "
            "copy the tokenizer's files beside the result and give that directory."
        )
    if any(name.endswith(".gguf") for name in names):
        return UsageError(
            f"{directory} holds GGUF weights: give the .gguf file itself as the base."
        )
    if "adapter_config.json" in names:
        return UsageError(f"{directory} is an adapter, not a checkpoint: give its base model.")
    return TaloError(f"{directory} holds no safetensors weights.")


def _json_object(file: BaseFile) -> dict[str, Any]:
    if file.nbytes > MAX_INDEX_BYTES:
        raise TaloError(
            f"{file.name} has {file.nbytes} bytes, too many for a JSON file of a model."
        )
    try:
        value = json.loads(file.source.read_bytes().decode("utf-8"))
    except OSError as error:
        raise TaloError(f"{file.source} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise TaloError(f"{file.name} is not valid JSON ({error}): download it again.") from error
    if not isinstance(value, dict):
        raise TaloError(f"{file.name} is not a JSON object: download it again.")
    return value


def _weight_map(file: BaseFile) -> dict[str, str]:
    weight_map = _json_object(file).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise TaloError(f"{file.name} has no weight_map of tensors to shards: download it again.")
    for shard in weight_map.values():
        if not safe_name(shard, file.name).endswith(".safetensors"):
            raise TaloError(f"{file.name} names {shard!r}, which is not a safetensors file.")
    return weight_map


def _locate(headers: Mapping[str, Header], directory: Path) -> dict[str, Located]:
    tensors: dict[str, Located] = {}
    for shard, header in headers.items():
        for name, entry in header.tensors.items():
            if name in tensors:
                raise TaloError(
                    f"{directory} holds tensor {name!r} twice, in {tensors[name].file} and in "
                    f"{shard}: which one loads is an accident, so remove one."
                )
            tensors[name] = Located(shard, entry)
    return tensors


def _check_index(
    weight_map: Mapping[str, str],
    tensors: Mapping[str, Located],
    directory: Path,
    index: str | None,
) -> tuple[str, ...]:
    """The index tells the truth about where tensors lie; warns of tensors it does not name."""
    if index is None:
        return ()
    for name, shard in weight_map.items():
        if name not in tensors or tensors[name].file != shard:
            raise TaloError(
                f"{directory / index} says tensor {name!r} is in {shard}, which does not hold it: "
                "the index and the shards are not of one model."
            )
    forgotten = [name for name in tensors if name not in weight_map]
    if not forgotten:
        return ()
    return (f"{index} does not name {len(forgotten)} tensors of its shards ({forgotten[0]}, ...).",)
