"""A checkpoint of the library from a folder or by its hub name: model and processor, or an error that says why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from chiasm.data.suggest import did_you_mean
from chiasm.errors import CheckpointError, ConfigError
from chiasm.models.adapters.transformers.architectures import ARCHITECTURES, Architecture
from chiasm.models.checkpoint import read_json

_OWN_CODE = (
    "it was made for Python code of its own (auto_map), which is never run: look for a copy in the library's format, "
    "often named '-hf', as florence-community/Florence-2-base is of microsoft/Florence-2-base"
)


def read_config(name: str) -> Any:
    """The checkpoint's configuration. Raises CheckpointError where there is none."""
    transformers = import_transformers()
    if Path(name).is_dir():
        _check_folder(Path(name))
    elif name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise CheckpointError(f"{name}: no such folder, and not a hub name like 'owner/model'")
    where = "configuration" if Path(name).is_dir() else "configuration from the hub (there is no such folder)"
    with _as_checkpoint_error(name, where), _quiet(transformers):
        return transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)


def architecture_of(name: str, config: Any) -> Architecture:
    """The row of a checkpoint. Raises ConfigError for an architecture that has none."""
    kind = config.model_type
    if kind not in ARCHITECTURES:
        sees = hasattr(config, "vision_config") or hasattr(config, "vq_config")
        why = "no adapter for this architecture" if sees else "a model without eyes"
        raise ConfigError(
            f"{name}: {why} (model_type {kind!r}){did_you_mean(kind, ARCHITECTURES)}; there are adapters for "
            f"{', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[kind]


def load_model(name: str, class_name: str, dtype: torch.dtype | None, device: str) -> Any:
    """The model, frozen and in eval mode, from safetensors only. `dtype` None takes the one it is stored in, but half
    precision becomes single on a CPU, which is hundreds of times slower at it. Raises CheckpointError where a file is
    missing or damaged, or some weights are not there."""
    transformers = import_transformers()
    with _as_checkpoint_error(name, "weights"), _quiet(transformers):
        stored = read_config(name).dtype
        if dtype is None and device == "cpu" and stored == torch.float16:
            dtype = torch.float32  # while they are read: weights of 7B once in each would take 42 GB
        model, report = getattr(transformers, class_name).from_pretrained(
            name, dtype=dtype or "auto", use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(f"{name}: {len(missing)} weights are missing, {missing[0]} first{_hint(name)}")
    if dtype is None and device == "cpu" and model.dtype == torch.float16:
        model = model.float()  # a configuration that does not say how the weights are stored
    return model.to(device).eval().requires_grad_(False)


def load_processor(name: str, by_hand: str | None) -> Any:
    """The processor, on the PIL backend: the other one gives slightly different pixels. `by_hand` names the class to
    put together where the library insists on a video processor, none of which works without torchvision. Raises
    CheckpointError where a file is missing."""
    transformers = import_transformers()
    with _as_checkpoint_error(name, "processor"), _quiet(transformers):
        if by_hand is None:
            return transformers.AutoProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
        parts = [
            transformers.AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False),
            transformers.AutoTokenizer.from_pretrained(name, trust_remote_code=False),
            no_video_processor(),
        ]
        kind = getattr(transformers, by_hand)
        settings, _ = kind.get_processor_dict(name)
        return kind.from_args_and_dict(parts, settings)


def import_transformers() -> Any:
    """The library. Raises ConfigError where it is not installed or too old."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigError(f"models of Hugging Face need transformers: pip install 'chiasm[hf]' ({error})") from None
    if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 22):
        raise ConfigError(f"transformers {transformers.__version__} is too old: pip install 'chiasm[hf]'")
    return transformers


def no_video_processor() -> Any:
    """Takes the place of a video processor in a processor that insists on one."""
    from transformers import processing_utils
    from transformers.video_processing_utils import VideoProcessorMixin

    # Without torchvision the package does not export the class, and the check of a processor's parts fails over it.
    package: Any = processing_utils.transformers_module
    if not hasattr(package, "VideoProcessorMixin"):
        package.VideoProcessorMixin = VideoProcessorMixin

    class NoVideoProcessor(VideoProcessorMixin):
        """Nothing here shows a model a video."""

        num_frames, fps = 1, 1

    return NoVideoProcessor()


def _check_folder(folder: Path) -> None:
    """Raises CheckpointError for a folder that is known to be of another kind, with what to do about it."""
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            base = read_json(folder / "adapter_config.json").get("base_model_name_or_path", "its base model")
            raise CheckpointError(f"{folder}: an adapter (LoRA) without its model; merge it into {base} by peft first")
        if any(folder.glob("*.gguf")):
            raise CheckpointError(
                f"{folder}: weights of llama.cpp (GGUF); serve them and ask for openai:URL#MODEL, or take the original"
            )
        raise CheckpointError(f"{folder}: no config.json, so this is not a model folder")
    if not any(folder.glob("*.safetensors")):
        if any(folder.glob("*.bin")):
            raise CheckpointError(
                f"{folder}: weights only as pickle (*.bin), which could run anything and is never loaded; save the "
                "model again as safetensors"
            )
        raise CheckpointError(f"{folder}: a configuration without weights (*.safetensors); fetch the whole folder")


@contextmanager
def _as_checkpoint_error(name: str, part: str) -> Iterator[None]:
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # the library and its parsers raise anything over a broken file
        if "trust_remote_code" in str(error):
            raise CheckpointError(f"{name}: the library itself has no {part} for it; {_OWN_CODE}") from error
        reason = " ".join(str(error).split())[:300]
        hint = _hint(name)
        raise CheckpointError(f"{name}: can't load the {part} ({type(error).__name__}: {reason}){hint}") from error


def _hint(name: str) -> str:
    """What else to say of a checkpoint that fails although the library knows its architecture."""
    from transformers import PreTrainedConfig

    try:
        raw, _ = PreTrainedConfig.get_config_dict(name)
    except Exception:  # no configuration, which is then what the message is about
        return ""
    return f"; {_OWN_CODE}" if "auto_map" in raw else ""


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's notes and bars; what matters comes back as an error."""
    log = transformers.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
