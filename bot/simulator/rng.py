"""Random streams that depend on a seed and a name only, so that no draw disturbs another."""

import zlib

import numpy as np


def stream(seed: int, *names: object) -> np.random.Generator:
    """A generator for (seed, names): equal arguments give equal numbers, whatever else was drawn before."""
    words = [seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF] + [zlib.crc32(str(name).encode()) for name in names]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(words)))


def hex_id(random: np.random.Generator, digits: int = 8) -> str:
    """A random hexadecimal identifier; its order and its digits mean nothing."""
    return "".join("0123456789abcdef"[i] for i in random.integers(0, 16, digits))


def weighted(random: np.random.Generator, options: dict):
    """One key of `options`, drawn in proportion to its value."""
    keys = list(options)
    weights = np.array([options[key] for key in keys], float)
    return keys[int(random.choice(len(keys), p=weights / weights.sum()))]


def smooth(noise: np.ndarray, phi: float) -> np.ndarray:
    """AR(1) rows of unit variance from white rows (last axis is time), as a truncated moving average."""
    length = max(2, int(np.ceil(np.log(0.02) / np.log(phi))))
    kernel = phi ** np.arange(length)
    kernel /= np.sqrt((kernel**2).sum())
    size = noise.shape[-1] + length - 1
    width = 1 << (size - 1).bit_length()
    padded = np.fft.irfft(np.fft.rfft(noise, width) * np.fft.rfft(kernel, width), width)[..., : noise.shape[-1]]
    ramp = np.sqrt(np.cumsum(kernel**2))
    padded[..., : length - 1] /= ramp[: min(length - 1, noise.shape[-1])]
    return padded
