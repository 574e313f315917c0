"""Load and save models: the same code for a rehearsal base, a user's checkpoint and a hub id.

Owns precision, placement, and that a folder appears whole or not at all. Refuses what holds no checkpoint, pickles and
code of a checkpoint's own, with a sentence instead of a stack.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from curation.errors import Unavailable
from training.backends.local import inspection

# Of a hub's repository: neither pickles nor code, nor the copies for other libraries that lie in folders of their own.
FETCHED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
LEFT_THERE = ("*/*", "consolidated*")
_PARTIAL = ".partial"
# What the system says when a disk, a quota or a limit on files is full, and what safetensors makes of it.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_WORDS = ("No space left", "Disk quota exceeded", "File too large", "StorageFull", "FileTooLarge")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device, and its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device

    @property
    def window(self) -> int:
        """Most tokens of prompt and reply together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def stop_tokens(self) -> list[int]:
        """Ids that end a reply, as the checkpoint's own generation configuration has them."""
        ids = self.model.generation_config.eos_token_id
        return [ids] if isinstance(ids, int) else list(ids or [])


def load(
    path: Path, *, dtype: torch.dtype | None = None, device: torch.device | None = None, four_bit: bool = False
) -> Loaded:
    """A model and its tokenizer, on the GPU where there is one.

    Args:
        path: a checkpoint directory or a hub id.
        dtype: of the weights; None for what answers best here: bfloat16 on a GPU, 32 bits on a CPU, where half
            precision is slow without special instructions.
        device: where the model goes; None for the GPU where there is one that has room for it.
        four_bit: weights rounded to NF4 as they are loaded, for adapters beside them; wants a GPU and bitsandbytes.

    Raises:
        Unavailable: nothing there can be loaded, or what is there may not be.
    """
    try:
        folder = _folder(path)
        device = device or _roomy_device(folder)
        dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        model, told = AutoModelForCausalLM.from_pretrained(
            str(folder),
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **(_rounded(device) if four_bit else {}),
        )
    except torch.OutOfMemoryError:
        raise  # says nothing against the checkpoint; the process's edge knows the sentence
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise Unavailable(
            "No model can be loaded from {path}: {cause}. Give a checkpoint directory or a hub id that can be reached.",
            path=path,
            cause=first[:300],
        ) from error
    missing = sorted(told["missing_keys"])
    if missing:
        # Transformers would begin with random numbers in their place, and say so in a log.
        raise Unavailable(
            "The weights in {path} are not those of {kind}: {count:,} are missing, such as {name}. Give a checkpoint "
            "whose config.json belongs to its weights.",
            path=path,
            kind=type(model).__name__,
            count=len(missing),
            name=missing[0],
        )
    return Loaded(model if four_bit else model.to(device), tokenizer, device)


def save(model: Any, tokenizer: Any, directory: Path) -> None:
    """Write a checkpoint directory that plain ``from_pretrained`` loads: safetensors and tokenizer.

    Raises:
        Unavailable: the disk is full; what was there before is as it was.
    """

    def write(partial: Path) -> None:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)

    write_whole(directory, write, needed=sum(one.nbytes for one in model.parameters()))


def save_adapter(model: Any, directory: Path, **how: Any) -> None:
    """Write an adapter directory that plain peft loads.

    Args:
        model: wrapped by peft.
        how: further arguments of peft's ``save_pretrained``.

    Raises:
        Unavailable: the disk is full; what was there before is as it was.
    """
    trained = sum(one.nbytes for one in model.parameters() if one.requires_grad)
    # Rows are never added to the embedding, so peft need not ask the hub whether they were.
    write_whole(
        directory, lambda partial: model.save_pretrained(partial, save_embedding_layers=False, **how), needed=trained
    )


def write_whole(directory: Path, write: Callable[[Path], object], *, needed: int) -> None:
    """Let ``write`` fill a folder beside the directory, and put it in the directory's place once it is whole.

    Args:
        needed: bytes that it takes, about; for the sentence.

    Raises:
        Unavailable: the disk is full; what was there before is as it was, and nothing is left beside it.
    """
    partial = directory.with_name(directory.name + _PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        write(partial)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not _is_full(error):
            raise
        raise Unavailable(
            "The disk is full: {folder} could not be written, which takes about {needed:,.1f} MB where {free:,.1f} MB "
            "are free. What was trained is kept: make room, then resume the run.",
            folder=directory,
            needed=needed / 1e6,
            free=shutil.disk_usage(directory.parent).free / 1e6,
        ) from error
    shutil.rmtree(directory, ignore_errors=True)  # of an earlier attempt
    partial.rename(directory)


def _roomy_device(folder: Path) -> torch.device:
    """The GPU, unless its free memory is less than a model's files and as much again as half of them for its work."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    free, _ = torch.cuda.mem_get_info()
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return torch.device("cuda" if 1.5 * weights < free else "cpu")


def _rounded(device: torch.device) -> dict[str, Any]:
    """NF4 with rounded scales, as QLoRA has it; such weights are made where they stay."""
    rounded = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": rounded, "device_map": {"": device}}


def _folder(path: Path) -> Path:
    """Where the checkpoint lies on this machine; a hub id's is fetched first, without pickles and code.

    Raises:
        Unavailable: something speaks against it.
        OSError, ValueError: the hub cannot be reached, or has no such repository.
    """
    folder = path if path.exists() or path.is_absolute() else None
    if folder is None:
        fetched = snapshot_download(str(path), allow_patterns=list(FETCHED), ignore_patterns=list(LEFT_THERE))
        folder = Path(fetched)
    trouble = inspection.error(folder)
    if trouble is not None:
        raise Unavailable("{message} {fix}", message=trouble.message, fix=trouble.fix)
    return folder


def _is_full(error: OSError | SafetensorError) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return isinstance(error, SafetensorError) and any(word in str(error) for word in _FULL_WORDS)
