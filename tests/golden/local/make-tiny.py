"""Writes tests/golden/local/tiny: a cross-encoder of the BERT shape with ten words, whose scores can be computed by hand.

The raw score of a pair is the sum of the weights of the passage's words, those of the query's words do not count; [SEP] weighs -1.
Needs the package onnx; run from the repository's root.
"""

import json
import pathlib

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

WEIGHTS = {"[PAD]": 0, "[UNK]": 0, "[CLS]": 0, "[SEP]": -1, "good": 2, "fair": 0.5, "bad": -2, "heat": 0.25, "pump": 0.25, "##s": 0.125}
HERE = pathlib.Path("tests/golden/local/tiny")


def graph() -> onnx.ModelProto:
    shape = ["batch_size", "sequence_length"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask", "token_type_ids")]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch_size", 1])
    weights = numpy_helper.from_array(numpy.array(list(WEIGHTS.values()), dtype=numpy.float32), "weights")
    axis = numpy_helper.from_array(numpy.array([1], dtype=numpy.int64), "axis")
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["of_tokens"], axis=0),
        helper.make_node("Mul", ["token_type_ids", "attention_mask"], ["counts"]),
        helper.make_node("Cast", ["counts"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["of_tokens", "share"], ["of_passage"]),
        helper.make_node("ReduceSum", ["of_passage", "axis"], ["logits"], keepdims=1),
    ]
    model = helper.make_model(helper.make_graph(nodes, "tiny", inputs, [output], [weights, axis]), opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def tokenizer() -> dict:
    vocabulary = {word: place for place, word in enumerate(WEIGHTS)}
    special = lambda word: {"id": word, "ids": [vocabulary[word]], "tokens": [word]}
    piece = lambda kind, name, segment: {kind: {"id": name, "type_id": segment}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [{"id": vocabulary[word], "content": word, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                          "special": True} for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0), piece("SpecialToken", "[SEP]", 0)],
            "pair": [piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0), piece("SpecialToken", "[SEP]", 0),
                     piece("Sequence", "B", 1), piece("SpecialToken", "[SEP]", 1)],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": vocabulary},
    }


if __name__ == "__main__":
    HERE.mkdir(parents=True, exist_ok=True)
    (HERE / "model.onnx").write_bytes(graph().SerializeToString())
    (HERE / "tokenizer.json").write_text(json.dumps(tokenizer(), indent=1) + "\n", encoding="utf-8")
