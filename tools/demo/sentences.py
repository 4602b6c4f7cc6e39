"""What the demo embeds, and how sentences become arrays of token numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.tools.demo.minilm import model_folder

__all__ = ["QUERY", "SENTENCES", "batches", "read_sentences", "tokenize"]

QUERY = "How can I make a neural network run faster?"

SENTENCES = (
    "A compiler can speed up the inference of a neural network.",
    "Quantising weights to eight bits makes inference cheaper.",
    "A deep learning compiler lowers latency on the same hardware.",
    "The network was trained for three weeks on a cluster.",
    "Fast trains connect the two cities in under two hours.",
    "My internet connection is slow in the evening.",
    "She runs five kilometres every morning before work.",
    "Knead the dough for ten minutes, then let it rise.",
    "The museum shows paintings from the seventeenth century.",
    "Heavy rain is expected along the coast tomorrow.",
    "Der Zug fährt um acht Uhr ab.",
    "Smaller models answer faster on the same processor.",
)

MAX_LINES = 4096


def read_sentences(path: Path) -> list[str]:
    """The lines of a UTF-8 text file that are not empty.

    Raises:
        InputError: The file is missing, is no text, or has no or too many lines.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(
            f"--file needs a text file of sentences, but {reason}: '{path}'"
        ) from error
    found = [line.strip() for line in lines if line.strip()]
    if not 1 <= len(found) <= MAX_LINES:
        raise InputError(
            f"--file needs 1 to {MAX_LINES} sentences, one a line, but '{path}' has "
            f"{len(found)}"
        )
    return found


def tokenize(sentences: list[str], length: int) -> tuple[np.ndarray, np.ndarray]:
    """Token numbers and mask of each sentence, cut or padded to `length`.

    Returns:
        Two arrays i64[len(sentences), length].

    Raises:
        InputError: The package tokenizers is not installed.
    """
    folder = model_folder()
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise InputError(
            "ix demo needs the package tokenizers, but it is not installed; run: "
            "pip install tokenizers"
        ) from None
    tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    encoded = tokenizer.encode_batch(sentences)
    tokens = np.array([each.ids for each in encoded], np.int64)
    mask = np.array([each.attention_mask for each in encoded], np.int64)
    return tokens, mask


def batches(array: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows in groups of `size`; the last group repeats its last row to fill up."""
    found = []
    for start in range(0, len(array), size):
        part = array[start : start + size]
        missing = size - len(part)
        found.append(np.concatenate([part, *[part[-1:]] * missing]))
    return found
