"""Writes tests/golden/local/ms-marco-MiniLM-L-12-v2.json: raw scores as ONNX Runtime and Hugging Face's tokenizer compute them.

Needs the packages onnxruntime and tokenizers, and the model (`rerankd model fetch`); run from the repository's root with the model's directory.
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
from tokenizers import Tokenizer

MAX_TOKENS = 256
QUERIES, PASSAGES = 6, 10


def main(directory: str) -> None:
    model = pathlib.Path(directory)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model / "model.onnx"), options)
    pairs = []
    for query, passages in english():
        for passage in passages:
            tokens = tokenizer.encode(query, passage)
            column = lambda values: numpy.array([values], dtype=numpy.int64)
            [logits] = session.run(None, {"input_ids": column(tokens.ids), "attention_mask": column(tokens.attention_mask),
                                          "token_type_ids": column(tokens.type_ids)})
            pairs.append({"query": query, "passage": passage, "tokens": len(tokens.ids), "logit": round(float(logits[0][0]), 4)})
    out = pathlib.Path("tests/golden/local/ms-marco-MiniLM-L-12-v2.json")
    out.write_text(json.dumps(pairs, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def english():
    """Queries of examples/eval-trilingual with passages of their domain; the last passage of each is long enough to be cut."""
    lines = lambda name: [json.loads(line) for line in pathlib.Path("examples/eval-trilingual", name).read_text(encoding="utf-8").splitlines()]
    corpus = lines("corpus.jsonl")
    for query in [query for query in lines("queries.jsonl") if query["metadata"]["language"] == "en"][::4][:QUERIES]:
        domain = query["_id"].split("-")[0]
        texts = [passage["text"] for passage in corpus if passage["_id"].split("-")[0] == domain][:PASSAGES]
        yield query["text"], [*texts, " ".join(texts)]


if __name__ == "__main__":
    main(sys.argv[1])
