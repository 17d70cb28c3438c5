"""Infinity's server as a program: `python -m support.servers.infinity v2 …`, as `infinity_emb v2 …`.

Its engine `optimum` runs ONNX models, but the package optimum loads them by way of torch, whose wheel for
Linux is the CUDA build: half a gigabyte, and its libraries beside it, for nothing that is used. So the loader
is ours, as far as Infinity calls it. The rest of the server, from the routes to the batches, the tokenizer
and the sigmoid, is Infinity's.
"""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy
import onnxruntime


class _SequenceClassifier:
    """What Infinity calls of `optimum.onnxruntime.ORTModelForSequenceClassification`."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session

    @classmethod
    def from_pretrained(
        cls, directory: str, *, file_name: str, provider: str, **_: object
    ) -> "_SequenceClassifier":
        return cls(onnxruntime.InferenceSession(Path(directory) / file_name, providers=[provider]))

    def __call__(self, return_dict: bool, **inputs: numpy.ndarray) -> SimpleNamespace:
        # As optimum: what the graph needs and the tokenizer was not asked for is zero.
        inputs.setdefault("token_type_ids", numpy.zeros_like(inputs["input_ids"]))
        (logits,) = self._session.run(None, inputs)
        return SimpleNamespace(logits=logits)


def _provide(name: str, **members: object) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    vars(module).update(members)
    sys.modules[name] = module


def main() -> None:
    _provide("optimum")
    _provide("optimum.modeling_base", OptimizedModel=object)
    _provide(
        "optimum.onnxruntime",
        ORTModel=object,
        ORTOptimizer=object,
        ORTModelForFeatureExtraction=object,
        ORTModelForSequenceClassification=_SequenceClassifier,
    )
    _provide("optimum.onnxruntime.configuration", OptimizationConfig=object)

    # It looks for the loader while it is imported.
    from infinity_emb.cli import cli

    cli()


if __name__ == "__main__":
    main()
