"""The cross-encoder that `rerankd model fetch` brings, as the files that each server wants."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy
import onnx
from gguf import GGUFWriter, PoolingType, TokenType
from onnx import numpy_helper

from support.service import binary

#: What llama.cpp and Infinity call it.
MODEL = "minilm"
#: The longest query and passage together, in tokens.
LONGEST_PAIR = 512

_LAYERS = 12
_HIDDEN = 384
_INNER = 1536
_HEADS = 12
#: [PAD], [UNK], [CLS], [SEP], [MASK].
_PAD, _UNK, _CLS, _SEP, _MASK = 0, 100, 101, 102, 103

_REPOSITORY = Path(__file__).resolve().parents[3]

#: The parts of a layer: their names in a GGUF file and in the ONNX graph.
_DENSE = {
    "attn_q": "attention/self/query",
    "attn_k": "attention/self/key",
    "attn_v": "attention/self/value",
    "attn_output": "attention/output/dense",
    "ffn_up": "intermediate/dense",
    "ffn_down": "output/dense",
}
_NORMS = {"attn_output_norm": "attention.output", "layer_output_norm": "output"}


def fetch() -> Path:
    """The directory with `model.onnx` and `tokenizer.json`; downloads 23 MB unless they are at hand."""
    if given := os.environ.get("RERANKD_TEST_MODEL"):
        return Path(given)
    directory = _REPOSITORY / "target" / "conformance" / "model"
    subprocess.run(
        [binary(), "model", "fetch", "--dir", directory], check=True, capture_output=True, timeout=300
    )
    return directory


def write_transformers(source: Path, target: Path) -> Path:
    """The directory that a server of Hugging Face models loads: the weights, and what describes them."""
    target.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(source / name, target / name)
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "hidden_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "intermediate_size": _INNER,
        "max_position_embeddings": LONGEST_PAIR,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    tokenizer = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": LONGEST_PAIR,
        "do_lower_case": True,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    (target / "config.json").write_text(json.dumps(config))
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return target


def write_gguf(source: Path, target: Path) -> Path:
    """The file that llama.cpp loads: the 8-bit weights widened to 16 bits."""
    writer = GGUFWriter(target, "bert")
    writer.add_name(MODEL)
    writer.add_context_length(LONGEST_PAIR)
    writer.add_embedding_length(_HIDDEN)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(_LAYERS)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.RANK)
    _add_vocabulary(writer, source)
    _add_tensors(writer, source)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def _add_vocabulary(writer: GGUFWriter, source: Path) -> None:
    vocabulary = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    special = {_PAD, _CLS, _SEP, _MASK}
    tokens, types = [], []
    for token, number in sorted(vocabulary.items(), key=lambda entry: entry[1]):
        if number in special or number == _UNK:
            tokens.append(token)
            types.append(TokenType.UNKNOWN if number == _UNK else TokenType.CONTROL)
        else:
            # llama.cpp marks the beginnings of words, WordPiece what goes on.
            tokens.append(token[2:] if token.startswith("##") else "\u2581" + token)
            types.append(TokenType.NORMAL)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_type_count(2)
    writer.add_pad_token_id(_PAD)
    writer.add_unk_token_id(_UNK)
    writer.add_bos_token_id(_CLS)
    writer.add_eos_token_id(_SEP)
    writer.add_sep_token_id(_SEP)
    writer.add_mask_token_id(_MASK)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)


def _add_tensors(writer: GGUFWriter, source: Path) -> None:
    graph = onnx.load(source / "model.onnx").graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def widen(name: str) -> numpy.ndarray:
        zero = stored[f"{name}_zero_point"].astype(numpy.float32)
        return (stored[f"{name}_quantized"].astype(numpy.float32) - zero) * stored[f"{name}_scale"]

    # A graph multiplies from the left, so its matrices lie the other way round.
    matrices = {
        node.name.removesuffix("_quant").removesuffix("_MatMul").removesuffix("/MatMul"): widen(
            node.input[1].removesuffix("_quantized")
        ).T
        for node in graph.node
        if node.op_type == "MatMulInteger"
    }

    def add(name: str, values: numpy.ndarray, width: type = numpy.float32) -> None:
        writer.add_tensor(name, numpy.ascontiguousarray(values, dtype=width))

    embeddings = "bert.embeddings"
    add("token_embd.weight", widen(f"{embeddings}.word_embeddings.weight"), numpy.float16)
    add("token_types.weight", widen(f"{embeddings}.token_type_embeddings.weight"))
    add("position_embd.weight", widen(f"{embeddings}.position_embeddings.weight"))
    add("cls.weight", matrices["/bert/pooler/dense/Gemm"])
    add("cls.bias", stored["bert.pooler.dense.bias"])
    add("cls.output.weight", matrices["/classifier/Gemm"])
    add("cls.output.bias", stored["classifier.bias"])
    for part in ("weight", "bias"):
        add(f"token_embd_norm.{part}", stored[f"{embeddings}.LayerNorm.{part}"])
    for layer in range(_LAYERS):
        for name, place in _DENSE.items():
            add(f"blk.{layer}.{name}.weight", matrices[f"/bert/encoder/layer.{layer}/{place}"], numpy.float16)
            add(
                f"blk.{layer}.{name}.bias",
                stored[f"bert.encoder.layer.{layer}.{place.replace('/', '.')}.bias"],
            )
        for name, place in _NORMS.items():
            for part in ("weight", "bias"):
                add(
                    f"blk.{layer}.{name}.{part}",
                    stored[f"bert.encoder.layer.{layer}.{place}.LayerNorm.{part}"],
                )
