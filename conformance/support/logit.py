"""NVIDIA's dialect answers logits; their sigmoid is the relevance score."""

import math
from dataclasses import replace

from support.scores import Hit


def from_logits(hits: list[Hit]) -> list[Hit]:
    assert all(math.isfinite(hit.score) for hit in hits)
    return [replace(hit, score=1 / (1 + math.exp(-hit.score))) for hit in hits]
