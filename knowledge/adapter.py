"""Low-rank corrections to the embedding model: a few hundred kilobytes that teach it alerts and runbooks.

Every linear map `W x` of the encoder becomes `W x + 2 B A x` with thin A and B. Only those are trained; for use
they are added into W, so that a corrected model costs not a microsecond more than the plain one.

Trained contrastively: a question must be nearer to its runbook's best chunk than to the other runbooks in the batch
and to a chunk that looks alike and is wrong.

Reference: Hu et al., "LoRA", ICLR 2022; Henderson et al., "Efficient Natural Language Response Suggestion", 2017.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from core.errors import Unavailable

SCALE = 2.0
TEMPERATURE = 20.0
BATCH = 16
_MAPS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "up": "intermediate.dense",
    "down": "output.dense",
}


def fingerprint(path: Path) -> str:
    """Names an adapter by its bytes, so that vectors of different adapters never meet in one index."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def corrections(path: Path) -> Callable[[str], np.ndarray | None]:
    """What an adapter adds to each linear map, by the map's name (`0.query` ... `5.down`), float32 like its weight.

    Raises:
        Unavailable: the file is not an adapter for this model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name].astype(np.float32) for name in file.files}
        if not held or any(name.split(".")[1] not in _MAPS or _other(name) not in held for name in held):
            raise ValueError("it holds something else than corrections")
    except (OSError, EOFError, IndexError, ValueError, BadZipFile) as broken:
        raise Unavailable(
            f"{str(path)!r} is not an adapter for this model ({broken}); tune again, or leave it out"
        ) from broken

    def correct(name: str) -> np.ndarray | None:
        return SCALE * held[f"{name}.b"] @ held[f"{name}.a"] if f"{name}.a" in held else None

    return correct


def _other(name: str) -> str:
    """The array that is multiplied with this one."""
    return name[:-1] + {"a": "b", "b": "a"}.get(name[-1], "")


def merge(model: Any, path: Path) -> None:
    """Adds an adapter's corrections into a loaded sentence-transformers model, in place.

    Raises:
        Unavailable: the file is not an adapter for this model.
    """
    import torch

    correct = corrections(path)
    with torch.no_grad():
        for name, linear in _linears(model).items():
            if (delta := correct(name)) is not None:
                linear.weight += torch.from_numpy(delta).to(linear.weight.dtype)


def train(
    model: Any, passages: Sequence[Sequence[str]], pairs: Sequence[tuple[str, int]], *, rank: int = 8, epochs: int = 3,
    rate: float = 1e-3, seed: int = 0, progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Learns corrections for a freshly loaded float32 model, which is changed on the way.

    Args:
        passages: for each runbook the texts that are embedded.
        pairs: (question, number of the runbook that answers it).

    Returns:
        The arrays of an adapter file.
    """
    import torch

    torch.manual_seed(seed)
    draw = random.Random(seed)
    wrapped = _wrap(model, rank)
    parameters = [weight for pair in wrapped.values() for weight in pair]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    steps = max(1, epochs * ((len(pairs) + BATCH - 1) // BATCH))
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda at: min(1.0, (at + 1) / warm) * max(0.05, 1 - at / steps)
    )
    flat = [(book, text) for book, texts in enumerate(passages) for text in texts]
    done = 0
    for _ in range(epochs):
        table = _encode(model, [text for _, text in flat], learning=False)
        order = list(pairs)
        draw.shuffle(order)
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            loss = _loss(model, batch, flat, table, draw)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            done += 1
            if progress:
                progress(done, steps)
    return {
        f"{name}.{side}": weight.detach().numpy().astype(np.float16)
        for name, pair in wrapped.items()
        for side, weight in zip("ab", pair, strict=True)
    }


def _loss(
    model: Any, batch: list[tuple[str, int]], flat: list[tuple[int, str]], table: Any, draw: random.Random
) -> Any:
    """Cross-entropy of each question's own chunk among all chunks of the batch and the look-alikes."""
    import torch

    questions = [question for question, _ in batch]
    books = torch.tensor([book for book, _ in flat])
    near = (_encode(model, questions, learning=False) @ table.T).float()
    right, wrong = [], []
    for row, (_, book) in enumerate(batch):
        own = torch.where(books == book)[0]
        right.append(flat[int(own[near[row, own].argmax()])][1])
        alike = near[row].masked_fill(books == book, -2.0).topk(min(30, len(flat) - len(own))).indices.tolist()
        wrong.append(flat[draw.choice(alike)][1] if alike else right[-1])
    vectors = _encode(model, [*questions, *right, *wrong], learning=True)
    count = len(batch)
    logits = vectors[:count] @ vectors[count:].T * TEMPERATURE
    mine = torch.tensor([book for _, book in batch])
    twins = (mine[:, None] == mine[None, :]) & ~torch.eye(count, dtype=torch.bool)
    logits[:, :count] = logits[:, :count].masked_fill(twins, -1e4)
    return torch.nn.functional.cross_entropy(logits, torch.arange(count))


def _encode(model: Any, texts: Sequence[str], learning: bool) -> Any:
    """Unit vectors as a tensor; in bfloat16 inside, which the processor multiplies several times faster."""
    import torch

    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    parts = []
    with torch.set_grad_enabled(learning), torch.autocast("cpu", dtype=torch.bfloat16):
        for start in range(0, len(order), 16):
            rows = [texts[at] for at in order[start : start + 16]]
            tokens = model.tokenizer(rows, padding=True, truncation=True, max_length=128, return_tensors="pt")
            hidden = model[0].auto_model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"].unsqueeze(-1).float()
            parts.append(torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1))
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts)[back]


def _linears(model: Any) -> dict[str, Any]:
    return {
        f"{number}.{short}": layer.get_submodule(path)
        for number, layer in enumerate(model[0].auto_model.encoder.layer)
        for short, path in _MAPS.items()
    }


def _wrap(model: Any, rank: int) -> dict[str, tuple[Any, Any]]:
    """Freezes the model and hangs trainable (A, B) beside each linear map."""
    import torch

    for weight in model.parameters():
        weight.requires_grad_(False)
    out = {}
    for name, linear in _linears(model).items():
        thin = torch.nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        wide = torch.nn.Parameter(torch.zeros(linear.out_features, rank))
        linear.register_forward_hook(lambda _, given, result, a=thin, b=wide: result + SCALE * (given[0] @ a.T) @ b.T)
        out[name] = (thin, wide)
    return out
