"""Which digit was said, by a speaker whom the network has never heard?

2500 recordings of ten digits by five speakers (``spoken_digits.npz``: ``audio`` in int16, one
recording after the other, cut at ``offsets``; ``digit``, ``speaker``, ``rate``). Each speaker in
turn is the test, the other four are what the network learns from: with four voices to learn from,
the fifth is a guess, and a random split would hide that.

A recording becomes mel-frequency cepstral coefficients, 100 frames a second, less their mean over
the recording, with their slopes. Since a voice differs from another above all by the length of the
vocal tract, which stretches the spectrum, the network is trained on copies whose frequency axis is
stretched at random (Jaitly and Hinton, 2013).

    python examples/spoken_digits.py --data DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from lstmcore import LSTMClassifier, SequenceScaler

Array = NDArray[np.float64]
Labels = NDArray[Any]

WINDOW, HOP, N_FFT, N_FILTERS, N_COEFFICIENTS = 200, 80, 256, 26, 13  # at 8 kHz: 25 ms, 10 ms
N_COPIES = 4
STRETCH = 0.15  # the frequency axis of a copy is stretched by 0.85 to 1.15

# Chosen with one speaker left out altogether (--validate nicolas), never on all five.
SETTINGS: dict[str, Any] = {
    "hidden_size": (64, 64),
    "pooling": "max",
    "dropout": 0.4,
    "learning_rate": 2e-3,
    "batch_size": 64,
    "max_iter": 10,
    "tol": None,
}


class DataError(Exception):
    """The data isn't where it should be, or isn't what it should be."""


def load(folder: Path) -> tuple[list[Array], Labels, Labels, int]:
    """Read recordings, digits, speakers and the sampling rate.

    Raises
    ------
    DataError
        If the file is missing or lacks an array.
    """
    path = folder / "spoken_digits.npz"
    if not path.is_file():
        raise DataError(f"there is no {path}; --data names the folder that holds the file")
    with np.load(path, allow_pickle=False) as file:
        lacking = {"audio", "offsets", "digit", "speaker", "rate"} - set(file.files)
        if lacking:
            raise DataError(f"{path} lacks {sorted(lacking)}")
        audio = file["audio"].astype(np.float64) / 2**15
        recordings = np.split(audio, file["offsets"][1:-1])
        return recordings, file["digit"], file["speaker"], int(file["rate"])


def mel_filters(rate: int, stretch: float) -> Array:
    """Triangles, evenly spaced in mel, over the bins of a spectrum: (N_FILTERS, N_FFT / 2 + 1)."""
    mels = np.linspace(*(2595 * np.log10(1 + np.array([100, rate / 2]) / 700)), N_FILTERS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = np.fft.rfftfreq(N_FFT, 1 / rate) * stretch
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))


def features(recording: Array, filters: Array) -> NDArray[np.float32]:
    """Coefficients less their mean, and their slopes: (n_frames, 2 * N_COEFFICIENTS)."""
    signal = np.append(recording[0], recording[1:] - 0.97 * recording[:-1])
    signal = np.pad(signal, (0, max(0, WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::HOP] * np.hamming(WINDOW)
    power = np.abs(np.fft.rfft(frames, N_FFT)) ** 2
    cepstrum = dct(np.log(power @ filters.T + 1e-8), axis=1, norm="ortho")[:, :N_COEFFICIENTS]
    cepstrum -= cepstrum.mean(axis=0)
    padded = np.pad(cepstrum, ((2, 2), (0, 0)), mode="edge")
    n = len(cepstrum)
    slopes = sum(k * (padded[2 + k : n + 2 + k] - padded[2 - k : n + 2 - k]) for k in (1, 2)) / 10
    return np.hstack([cepstrum, slopes]).astype(np.float32)


def copies(recordings: list[Array], rate: int, seed: int) -> list[NDArray[np.float32]]:
    """N_COPIES of all recordings, of which the first is as they are and the others stretched."""
    rng = np.random.default_rng(seed)
    found = [features(recording, mel_filters(rate, 1.0)) for recording in recordings]
    for _ in range(N_COPIES - 1):
        for recording in recordings:
            stretch = rng.uniform(1 - STRETCH, 1 + STRETCH)
            found.append(features(recording, mel_filters(rate, stretch)))
    return found


def accuracy(
    recordings: list[Array], digits: Labels, test: NDArray[np.bool_], rate: int, seed: int
) -> float:
    """Train on what is not marked, test on what is."""
    heard = [recording for recording, marked in zip(recordings, test, strict=True) if not marked]
    unheard = [recording for recording, marked in zip(recordings, test, strict=True) if marked]
    scaler = SequenceScaler()
    X = scaler.fit_transform(copies(heard, rate, seed))
    model = LSTMClassifier(**SETTINGS, random_state=seed).fit(X, np.tile(digits[~test], N_COPIES))
    plain = mel_filters(rate, 1.0)
    X_test = scaler.transform([features(recording, plain) for recording in unheard])
    return float(model.score(X_test, digits[test]))


def main() -> None:
    """Leave each speaker out in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of spoken_digits.npz")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train for each speaker")
    parser.add_argument(
        "--validate",
        metavar="SPEAKER",
        help="leave SPEAKER out altogether, and each of the others in turn: how to choose settings",
    )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {options.seeds}")
    try:
        recordings, digits, speakers, rate = load(options.data)
    except DataError as error:
        sys.exit(f"{parser.prog}: {error}")
    if options.validate:
        if options.validate not in speakers:
            parser.error(f"--validate must be one of {np.unique(speakers).tolist()}")
        kept = np.flatnonzero(speakers != options.validate)
        recordings, digits, speakers = [recordings[i] for i in kept], digits[kept], speakers[kept]
    names = np.unique(speakers)
    print(f"{len(digits)} recordings of {len(names)} speakers at {rate} Hz")
    means = []
    for name in names:
        start = time.perf_counter()
        scores = [
            accuracy(recordings, digits, speakers == name, rate, seed)
            for seed in range(options.seeds)
        ]
        means.append(np.mean(scores))
        took = time.perf_counter() - start
        print(f"  {name:10} accuracy {means[-1]:.3f}, {took:.1f} s", flush=True)
    print(
        f"LSTM, mean of {len(names)} speakers, {options.seeds} seeds: accuracy {np.mean(means):.3f}"
    )


if __name__ == "__main__":
    main()
