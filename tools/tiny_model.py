#!/usr/bin/env python3
"""Trains a small real model for the demo where no larger one can be fetched.

    tiny_model.py DIR

A softmax regression that predicts the next letter of English from the two letters before it,
trained by gradient descent on the project's own texts, saved as safetensors with a configuration
and a card. Standard library only; deterministic; a few seconds.
"""
import array
import json
import math
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LETTERS = " abcdefghijklmnopqrstuvwxyz"
N = len(LETTERS)
TEXTS = ["LICENSE", "CONTRIBUTING.md", "README.md"]
EPOCHS, RATE = 40, 0.5


def read_text():
    text = " ".join((ROOT / t).read_text(errors="replace") for t in TEXTS if (ROOT / t).exists()).lower()
    return " ".join("".join(c if c in LETTERS else " " for c in text).split())


def softmax(z):
    top = max(z)
    e = [math.exp(x - top) for x in z]
    total = sum(e)
    return [x / total for x in e]


def train(text):
    """Returns the weights (2 x N rows of N: one row per earlier letter) and the loss of each epoch."""
    ids = [LETTERS.index(c) for c in text]
    seen = {}
    for a, b, c in zip(ids, ids[1:], ids[2:]):
        seen.setdefault((a, b), [0] * N)[c] += 1
    total = len(ids) - 2
    weights = [[0.0] * N for _ in range(2 * N)]
    losses = []
    for _ in range(EPOCHS):
        gradient = [[0.0] * N for _ in range(2 * N)]
        loss = 0.0
        for (a, b), counts in seen.items():
            p = softmax([x + y for x, y in zip(weights[a], weights[N + b])])
            n = sum(counts)
            for c in range(N):
                loss -= counts[c] * math.log(p[c] + 1e-12)
                g = (n * p[c] - counts[c]) / total
                gradient[a][c] += g
                gradient[N + b][c] += g
        for row, g in zip(weights, gradient):
            for c in range(N):
                row[c] -= RATE * N * g[c]
        losses.append(loss / total)
    return weights, losses


def safetensors(weights):
    data = array.array("f", [x for row in weights for x in row])
    if sys.byteorder == "big":
        data.byteswap()
    head = {"__metadata__": {"format": "pt"},
            "weight": {"dtype": "F32", "shape": [2 * N, N], "data_offsets": [0, 4 * len(data)]}}  # fmt: skip
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data.tobytes()


def write(target):
    target = Path(target)
    text = read_text()
    weights, losses = train(text)
    (target / "model.safetensors").write_bytes(safetensors(weights))
    config = {"model_type": "letter-softmax", "context": 2, "alphabet": LETTERS}
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (target / "README.md").write_text(
        "# Letter model\n\nPredicts the next letter of English from the two before it.\n\n"
        f"Trained on {len(text)} letters of the project's own texts; loss {losses[0]:.3f} before, "
        f"{losses[-1]:.3f} after {EPOCHS} epochs (nats per letter).\n")  # fmt: skip
    return losses


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    print("loss by epoch: " + " ".join(f"{x:.3f}" for x in write(sys.argv[1])[::8]))
