"""all-MiniLM-L6-v2's forward pass in numpy: a question is understood without torch, in a fifth of its memory.

Six layers over vectors of 384 are small enough for numpy to keep up with torch on one thread. What stays in memory is
the 43 MB of the layers; of the vocabulary's 47 MB only the words that were met are read (the file is mapped). Texts
lie end to end, so nothing is spent on padding, and word pieces lie along the last axis: each step then runs along whole
rows, and attention copies nothing. Vectors agree with those of sentence-transformers to cosine 0.99999.

Reference: Devlin et al., "BERT", NAACL 2019; Wang et al., "MiniLM", NeurIPS 2020.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

LAYERS, HEADS, WIDTH = 6, 12, 384
LONGEST = 256
"""Word pieces of a text that are read; the model was trained on no more."""
AT_ONCE = 1_024
"""Word pieces in one pass: more is no faster and takes memory."""
FAR = np.float32(60.0)
"""No piece of text attends to another this much more than to nothing; beyond, the exponential would overflow."""
_EPSILON = 1e-12


class MiniLM:
    """The model of one folder (`model.safetensors`, `tokenizer.json`), in float32.

    Args:
        correct: gets each linear map's name (`0.query` ... `5.down`) and returns what is to be added to its weight,
            or None.

    Raises:
        OSError, ValueError, KeyError: the folder does not hold this model.
    """

    def __init__(self, folder: Path, correct: Callable[[str], np.ndarray | None] = lambda _: None):
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # no pool of threads for a sentence
        from tokenizers import Tokenizer

        self._tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokens.enable_truncation(LONGEST)
        self._tokens.no_padding()
        held = _Weights(folder / "model.safetensors")
        self._words = held.mapped("embeddings.word_embeddings.weight")
        self._places = (
            held.read("embeddings.position_embeddings.weight") + held.read("embeddings.token_type_embeddings.weight")[0]
        )
        self._first = held.norm("embeddings.LayerNorm")
        self._layers = [_Layer(held, number, correct) for number in range(LAYERS)]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The mean of each text's last hidden states, float32 of shape (len(texts), 384); not made unit length."""
        pieces = [found.ids for found in self._tokens.encode_batch(list(texts))]
        out, start = np.empty((len(pieces), WIDTH), dtype=np.float32), 0
        while start < len(pieces):
            end, room = start + 1, AT_ONCE - len(pieces[start])
            while end < len(pieces) and (room := room - len(pieces[end])) >= 0:
                end += 1
            out[start:end] = self._forward(pieces[start:end])
            start = end
        return out

    def _forward(self, pieces: Sequence[Sequence[int]]) -> np.ndarray:
        ends = np.cumsum([len(ids) for ids in pieces]).tolist()
        spans = [slice(end - len(ids), end) for end, ids in zip(ends, pieces, strict=True)]
        places = np.concatenate([np.arange(len(ids)) for ids in pieces])
        x = np.ascontiguousarray((self._words[np.concatenate(pieces)] + self._places[places]).T)
        x = _normal(x, *self._first)
        for layer in self._layers:
            x = layer(x, spans)
        return np.stack([x[:, span].mean(axis=1) for span in spans])


class _Layer:
    """Attention within each text, then two linear maps, each with its shortcut and normalisation."""

    def __init__(self, held: "_Weights", number: int, correct: Callable[[str], np.ndarray | None]):
        at = f"encoder.layer.{number}."

        def linear(name: str, path: str) -> tuple[np.ndarray, np.ndarray]:
            weight, more = held.read(f"{at}{path}.weight"), correct(f"{number}.{name}")
            weight = weight if more is None else weight + more
            return np.ascontiguousarray(weight), held.read(f"{at}{path}.bias")[:, None]

        parts = [linear(name, f"attention.self.{name}") for name in ("query", "key", "value")]
        parts[0] = tuple(part * np.float32((WIDTH // HEADS) ** -0.5) for part in parts[0])
        self._asks = np.concatenate([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts])
        self._out = linear("out", "attention.output.dense")
        self._up, (weight, bias) = linear("up", "intermediate.dense"), linear("down", "output.dense")
        self._down = weight * np.float32(0.5), bias  # `_gelu` gives twice as much
        self._norms = held.norm(f"{at}attention.output.LayerNorm"), held.norm(f"{at}output.LayerNorm")

    def __call__(self, x: np.ndarray, spans: Sequence[slice]) -> np.ndarray:
        asks = _linear(x, self._asks).reshape(3, HEADS, WIDTH // HEADS, -1)
        seen = np.empty_like(x)
        for span in spans:
            query, key, value = asks[..., span]
            weights = key.transpose(0, 2, 1) @ query  # (heads, pieces seen, pieces that ask)
            np.clip(weights, -FAR, FAR, out=weights)
            np.exp(weights, out=weights)
            found = value @ weights
            found /= weights.sum(axis=1, keepdims=True)
            seen[:, span] = found.reshape(WIDTH, -1)
        seen = _linear(seen, self._out)
        seen += x
        x = _normal(seen, *self._norms[0])
        seen = _linear(_gelu(_linear(x, self._up)), self._down)
        seen += x
        return _normal(seen, *self._norms[1])


class _Weights:
    """The arrays of a safetensors file: eight bytes of length, a JSON header with offsets, then plain numbers."""

    def __init__(self, path: Path):
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            self._header = json.loads(file.read(size))
        self._path, self._start = path, 8 + size

    def read(self, name: str) -> np.ndarray:
        """One array, copied into memory."""
        shape, start = self._where(name)
        return np.fromfile(self._path, "<f4", int(np.prod(shape)), offset=start).reshape(shape)

    def mapped(self, name: str) -> np.ndarray:
        """One array, left on disk: only what is looked at is read."""
        shape, start = self._where(name)
        return np.memmap(self._path, "<f4", "r", start, shape)

    def norm(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self.read(f"{name}.weight")[:, None], self.read(f"{name}.bias")[:, None]

    def _where(self, name: str) -> tuple[tuple[int, ...], int]:
        entry = self._header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{name} is {entry['dtype']}, not F32")
        return tuple(entry["shape"]), self._start + entry["data_offsets"][0]


def _linear(x: np.ndarray, weight: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    out = weight[0] @ x
    out += weight[1]
    return out


def _normal(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Each column of mean 0 and deviation 1, scaled and shifted; in place of `x`."""
    x -= x.mean(axis=0)
    x /= np.sqrt(np.einsum("ij,ij->j", x, x) / len(x) + _EPSILON)
    x *= scale
    x += shift
    return x


def _gelu(x: np.ndarray) -> np.ndarray:
    """2x times (nearly) the normal distribution function of x; the tanh form, within 1e-3 of the exact one."""
    bent = x * x
    bent *= np.float32(0.044715 * (2 / np.pi) ** 0.5)
    bent += np.float32((2 / np.pi) ** 0.5)
    bent *= x
    np.tanh(bent, out=bent)
    bent += 1
    bent *= x
    return bent
