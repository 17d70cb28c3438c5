"""llama_index TextEmbeddingInference: `POST /rerank` with `texts`, no model; it looks at no status."""

from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from support.contract import Ask, Client, Ranks, SendsKey, TopN
from support.llama_index import most, postprocess
from support.scores import Hit
from support.stage import Site


class LlamaIndexTei(Client):
    def __init__(self, scheme: str) -> None:
        self.scheme = scheme

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = TextEmbeddingInference(
            base_url=site.url, top_n=most(ask), auth_token=self.scheme + site.key
        )
        return postprocess(reranker, ask)


class TestTextEmbeddingInference(Ranks, SendsKey, TopN):
    client = LlamaIndexTei("Bearer ")


class TestWithoutScheme(SendsKey):
    """Users forget the `Bearer `; the token then arrives bare."""

    client = LlamaIndexTei("")
