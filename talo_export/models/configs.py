"""Reading a model's config: of what there is of a model, the least that says what it is."""

from __future__ import annotations

from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PreTrainedConfig

from talo_export.errors import TaloError
from talo_export.models.reference import ResolvedModel
from talo_export.wording import first_line, one_line

MISREAD = (ValueError, OSError, KeyError, TypeError, AttributeError)
"""What transformers raises on JSON that is broken, or no object where it wants one."""


def read_config(resolved: ResolvedModel, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The model's config. Raises TaloError where it is unreadable or of an unknown type."""
    try:
        return AutoConfig.from_pretrained(
            resolved.directory,
            trust_remote_code=trust_remote_code,
            **resolved.gguf_options,
        )
    except (*MISREAD, StrictDataclassError) as error:
        # Its first line only says that there is something.
        text = one_line(str(error)) if isinstance(error, StrictDataclassError) else str(error)
        if "trust_remote_code" in text:
            raise TaloError(
                f"{resolved.name} brings its own model code: read it, then pass "
                "--trust-remote-code to let it run"
            ) from error
        if "model type" in text or "model_type" in text:
            raise TaloError(
                f"{resolved.name} is of a model type this transformers does not know: "
                f"upgrade transformers ({first_line(text)})"
            ) from error
        raise TaloError(
            f"the config of {resolved.name} cannot be read: {first_line(text)}"
        ) from error
