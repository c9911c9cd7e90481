"""Running a model's code on tensors without values, with every operation recorded.

The model itself is never run: a twin without weights is built from its config, so that neither
its memory nor its settings are touched, and a model of any size takes seconds.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from talo_export.errors import TaloError
from talo_export.models.examples import smallest_inputs
from talo_export.models.flow import Trace, layer_paths
from talo_export.models.recorder import Recorder

PRIMES = (13, 17, 19, 23, 29, 31, 37, 41, 43, 47)


def traces(twin: PreTrainedModel) -> Iterator[Trace]:
    """Recorded forwards of a weightless model, on one kind of inputs after the other.

    Raises TaloError where its code runs on none of them.
    """
    positions = length_unlike(twin)
    refusals: list[str] = []
    ran = False
    with torch.device("meta"):
        kinds = list(smallest_inputs(twin, positions))
    for inputs in kinds:
        try:
            trace = record(twin, inputs, positions, twin.get_output_embeddings())
        except Exception as error:  # noqa: BLE001
            # Model code raises whatever it likes on inputs it was not made for; the next may do.
            refusals.append(f"{type(error).__name__}: {error}".splitlines()[0])
            continue
        ran = True
        yield trace
    if not ran:
        raise TaloError(
            f"the code of {type(twin).__name__} could not be traced, so its decoder is not known "
            f"({'; '.join(dict.fromkeys(refusals)) or 'its forward takes no text'})"
        )


def build_twin(model_class: type[PreTrainedModel], config: Any) -> PreTrainedModel:
    """The same architecture on the meta device, in implementations whose every step shows.

    Raises TaloError where the class cannot be built from its config.
    """
    config = copy.deepcopy(config)
    if getattr(config, "quantization_config", None) is not None:
        del config.quantization_config
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            twin = model_class._from_config(config, attn_implementation="eager")
        except (ValueError, ImportError, TypeError, AttributeError, RuntimeError) as error:
            raise TaloError(
                f"{model_class.__name__} cannot be built from its config alone: {error}"
            ) from error
        # Experts one by one would need to know which tokens they get.
        twin.set_experts_implementation("batched_mm")
    return twin.eval()


def length_unlike(model: nn.Module) -> int:
    """A number of positions that divides no dimension of any parameter, so that it stands out."""
    sizes = {size for parameter in model.parameters() for size in parameter.shape}
    for prime in PRIMES:
        if all(size % prime for size in sizes):
            return prime
    return PRIMES[0]


def record(
    twin: nn.Module, inputs: Mapping[str, Any], positions: int, head: nn.Module | None = None
) -> Trace:
    """Run the twin on `inputs` and return what was seen.

    `head` is the module that puts out the logits, where that is known.
    """
    recorder = Recorder(dict(twin.named_parameters()), positions)
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            recorder.label_input(name, value)
        elif isinstance(value, BaseModelOutput):
            recorder.label_input(name, value.last_hidden_state)
    with torch.device("meta"), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with recorder, watched(twin, recorder), last_output(head) as put_out:
            try:
                logits = logits_in(twin(**inputs))
            except AttributeError:
                # transformers 5.24.0 computes the logits of Llama 4 and then fails to wrap them
                # up, with or without an image. What the files hold is known all the same.
                if not put_out:
                    raise
                logits = put_out[0]
        recorder.trace.logits = recorder.flow(logits)
    return recorder.trace


@contextmanager
def last_output(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """A list that holds what the module put out last; empty before, and where there is none."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            seen[:] = [output]

    with module.register_forward_hook(keep) if isinstance(module, nn.Module) else nullcontext():
        yield seen


@contextmanager
def watched(model: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Tell the recorder which modules run, and when hidden states enter and leave a layer."""
    layers = layer_paths(model)

    def hooks(path: str) -> tuple[Any, Any]:
        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            recorder.stack.append(path)
            if path in layers:
                hidden = kwargs.get("hidden_states", next(iter(args), None))
                recorder.enter_layer(path, hidden if isinstance(hidden, Tensor) else None)

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            recorder.stack.pop()
            if path in layers:
                recorder.leave_layer(path, first_tensor(output))

        return before, after

    with ExitStack() as stack:
        for path, module in model.named_modules():
            if path:
                before, after = hooks(path)
                stack.enter_context(module.register_forward_pre_hook(before, with_kwargs=True))
                stack.enter_context(module.register_forward_hook(after, with_kwargs=True))
        yield


def first_tensor(output: Any) -> Tensor | None:
    """The hidden states a layer returns: its only output or the first of several."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple | list):
        return next((item for item in output if isinstance(item, Tensor)), None)
    return None


def logits_in(output: Any) -> Tensor:
    """The logits of a model output. Raises TaloError where there are none."""
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise TaloError("the model's output has no logits")
    return logits
