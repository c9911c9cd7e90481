"""From what the user typed, `PATH`, `OWNER/NAME` or `OWNER/NAME@REVISION`, to a local directory.

Nothing of a repository is executed here; a Hub repository is downloaded as it stands, without
the copies of its weights in other formats, which no export reads. The Hub's library is imported
where the Hub is meant: a directory waits for none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from talo_export.errors import TaloError, UsageError

OTHER_FORMATS = (
    "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.onnx_data", "*.gguf",
    "*.mlmodel", "*.tflite",
)  # fmt: skip
"""Weights in formats this tool does not edit; leaving them out halves many a download."""


ADAPTER_CONFIG = "adapter_config.json"
NO_GGUF = "GGUF files need the package gguf: pip install 'talo-export[gguf]'."


@dataclass(frozen=True, slots=True)
class Reference:
    """What was typed, taken apart. Exactly one of `path` and `repo_id` is set."""

    name: str
    path: Path | None = None
    repo_id: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model that lies on this machine."""

    directory: Path
    name: str
    """The path or Hub id as typed, without `@revision`."""
    revision: str | None
    """The commit the Hub served, None for a local directory."""
    gguf_file: str | None = None
    """The file's name inside `directory` where the reference names one `.gguf` file."""

    @property
    def place(self) -> Path:
        """The checkpoint itself: the directory, or that one file."""
        return self.directory / self.gguf_file if self.gguf_file else self.directory

    @property
    def gguf_options(self) -> dict[str, str]:
        """What `from_pretrained(directory, ...)` takes beside for one GGUF file: its whole path.

        Of a name alone transformers reads the weights from the working directory if they are there.
        """
        return {"gguf_file": str(self.place.absolute())} if self.gguf_file else {}


def parse_reference(text: str) -> Reference:
    """Take `PATH`, `OWNER/NAME` or `OWNER/NAME@REVISION` apart.

    Whatever exists on disk is a path, even if it contains an `@`; what cannot be a Hub id is one
    too. Raises UsageError where the text is neither.
    """
    if not text.strip():
        raise UsageError("the model reference is empty: give a directory or a Hub id OWNER/NAME")
    path = Path(text).expanduser()
    if path.exists():
        return Reference(name=text, path=path)
    name, _, revision = text.partition("@")
    if "@" in text and not revision:
        raise UsageError(f"{text!r} ends in '@': write a branch, tag or commit after it")
    if revision and Path(name).expanduser().exists():
        raise UsageError(f"{name} is a local path and has no revisions: leave out '@{revision}'")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise TaloError(f"{name} does not exist: check the path, or give a Hub id OWNER/NAME")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UsageError(
            f"{text!r} is neither a directory on this machine nor a Hub id OWNER/NAME[@REVISION]"
        ) from None
    return Reference(name=name, repo_id=name, revision=revision or None)


def resolve(text: str, *, weights: bool = True) -> ResolvedModel:
    """Bring the model onto this machine and check that its weights are safetensors.

    Without `weights` they are neither downloaded nor looked for: config and processor alone.
    Raises TaloError where it cannot be found, reached or read, saying what to do next.
    """
    reference = parse_reference(text)
    if reference.path is not None:
        if reference.path.suffix == ".gguf" and reference.path.is_file():
            if find_spec("gguf") is None:
                raise TaloError(NO_GGUF)
            return ResolvedModel(
                reference.path.parent, reference.name, None, gguf_file=reference.path.name
            )
        if not reference.path.is_dir():
            raise TaloError(
                f"{reference.path} is a file: give the directory that holds config.json "
                "and the safetensors files"
            )
        directory, revision = reference.path, None
    else:
        assert reference.repo_id is not None
        directory = download(reference.repo_id, reference.revision, weights=weights)
        revision = directory.name
    check_files(directory, reference, weights=weights)
    return ResolvedModel(directory, reference.name, revision)


def follow_adapter(reference: str) -> tuple[str, Path | None]:
    """(the model that carries the weights, the directory of a PEFT adapter to put on it or None).

    Raises TaloError where the adapter names no base, or lies beside full weights.
    """
    directory = Path(reference).expanduser()
    file = directory / ADAPTER_CONFIG
    if not file.is_file():
        return reference, None
    refuse_mixture(directory)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        base, revision = str(config["base_model_name_or_path"] or ""), config.get("revision")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaloError(f"{file} is no PEFT config ({error}): save the adapter again") from error
    if not base or (Path(base).expanduser() / ADAPTER_CONFIG).is_file():
        what = f"{base}, an adapter again" if base else "no model"
        raise TaloError(f"{file} names as its base {what}: name the model that carries the weights")
    return (f"{base}@{revision}" if revision else base), directory


def refuse_mixture(directory: Path) -> None:
    """Raise TaloError for an adapter beside full weights: what loads is neither of the two."""
    full = [
        path.name
        for pattern in ("*.safetensors", "*.bin")
        for path in sorted(directory.glob(pattern))
        if not path.name.startswith("adapter_model")
    ]
    if full and (directory / ADAPTER_CONFIG).is_file():
        raise TaloError(
            f"{directory} holds an adapter ({ADAPTER_CONFIG}) beside full weights ({full[0]}), and "
            "loading puts the one on the other: merge it into them, or move it to a directory of "
            "its own"
        )


def download(repo_id: str, revision: str | None, *, weights: bool = True) -> Path:
    """The repository's snapshot in the Hub cache; what is already there is not fetched again."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    at = f"{repo_id}@{revision}" if revision else repo_id
    ignored = [*OTHER_FORMATS, *([] if weights else ["*.safetensors"])]
    try:
        return Path(snapshot_download(repo_id, revision=revision, ignore_patterns=ignored))
    except GatedRepoError as error:
        raise TaloError(
            f"{at} is gated: accept its terms at https://huggingface.co/{repo_id} "
            "and log in with `hf auth login`"
        ) from error
    except RevisionNotFoundError as error:
        raise TaloError(
            f"{repo_id} has no revision {revision!r}: see https://huggingface.co/{repo_id}/tree"
        ) from error
    except RepositoryNotFoundError as error:
        raise TaloError(
            f"the Hub knows no model {repo_id} (or it is private: log in with `hf auth login`), "
            "and no such directory exists here"
        ) from error
    except LocalEntryNotFoundError as error:
        why = (
            "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the Hub could not be reached"
        )
        raise TaloError(
            f"{at} is not in the local Hub cache and {why}: "
            "go online once, or give a local directory"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise TaloError(f"downloading {at} failed ({error}): run the same command again") from error


def check_files(directory: Path, reference: Reference, *, weights: bool = True) -> None:
    """A config, and complete safetensors `weights`, must be there. Raises TaloError for a gap."""
    if (directory / ADAPTER_CONFIG).is_file():
        refuse_mixture(directory)
        raise UsageError(f"{directory} is an adapter, not a checkpoint: give its base model")
    if not (directory / "config.json").is_file():
        raise TaloError(
            f"{directory} has no config.json: give the directory of a transformers checkpoint"
        )
    if not weights:
        return
    shards = [check_index(index) for index in sorted(directory.glob("*.safetensors.index.json"))]
    if any(shards) or any(directory.glob("*.safetensors")):
        return
    pickled = any(directory.glob("*.bin")) or any(directory.glob("*.pt"))
    if pickled or _is_pickled_on_hub(reference):
        raise TaloError(
            f"{reference.name} has its weights only as pickled .bin files, which are not edited in "
            "place: convert them first with "
            f'python -c "from transformers import AutoModel as M; M.from_pretrained('
            f"'{reference.name}').save_pretrained('converted')\" "
            "(with the model's own auto class), copy the tokenizer files and give that directory"
        )
    raise TaloError(f"{directory} has no *.safetensors weights")


def _is_pickled_on_hub(reference: Reference) -> bool:
    """Whether the repository has pickled weights, which are not downloaded; False offline."""
    if reference.repo_id is None:
        return False
    from huggingface_hub import constants, list_repo_files
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        files = list_repo_files(reference.repo_id, revision=reference.revision)
    except (HfHubHTTPError, OSError):
        return False
    return any(name.endswith((".bin", ".pt", ".pth")) for name in files)


def check_metadata(directory: Path) -> None:
    """Raise TaloError for an index that transformers fails on: one without a metadata map."""
    for index in sorted(directory.glob("*.safetensors.index.json")):
        if not isinstance(json.loads(index.read_text(encoding="utf-8")).get("metadata"), dict):
            raise TaloError(
                f'{index} has no "metadata" map, without which transformers loads none of its '
                'shards: write "metadata": {} beside its weight_map, or fetch the model again'
            )


def check_index(index: Path) -> set[str]:
    """The shards that an index names, each a file beside it or in a folder below.

    Raises TaloError naming the first that is not there, or would lie elsewhere.
    """
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = {str(shard) for shard in weight_map.values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TaloError(f"{index} is no safetensors index ({error}): fetch it again") from error
    for shard in sorted(shards):
        if Path(shard).is_absolute() or ".." in Path(shard).parts:
            raise TaloError(
                f"{index} names {shard!r}, which is no path inside the checkpoint directory: "
                "take another base"
            )
        if not (index.parent / shard).is_file():
            raise TaloError(
                f"{index.name} names the shard {shard}, which is not in {index.parent}: "
                "fetch the model again"
            )
    return shards
