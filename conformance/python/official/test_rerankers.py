"""rerankers.Reranker: one library, six wire shapes, each with the full URL. It looks at no status."""

from rerankers import Reranker

from support.contract import AnyModelName, Ask, Client, Ranks, SendsKey
from support.scores import Hit
from support.stage import Site


class ApiRanker(Client):
    def __init__(self, provider: str, path: str) -> None:
        self.provider = provider
        self.path = path

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        ranker = Reranker(
            ask.model,
            model_type="APIRanker",
            api_provider=self.provider,
            api_key=site.key,
            url=site.url + self.path,
            verbose=0,
        )
        ranked = ranker.rank(ask.query, ask.passages, doc_ids=list(range(len(ask.passages))))
        return [Hit(result.doc_id, result.score) for result in ranked.results]


class _Suite(Ranks, SendsKey, AnyModelName):
    """What each provider of this library can show: it always asks for all documents and drops them itself."""


class TestCohere(_Suite):
    client = ApiRanker("cohere", "/v1/rerank")


class TestJina(_Suite):
    client = ApiRanker("jina", "/v1/rerank")


class TestVoyage(_Suite):
    client = ApiRanker("voyage", "/v1/rerank")


class TestMixedbread(_Suite):
    client = ApiRanker("mixedbread.ai", "/v1/reranking")


class TestTextEmbeddingsInference(_Suite):
    client = ApiRanker("text-embeddings-inference", "/rerank")


class TestPinecone(_Suite):
    client = ApiRanker("pinecone", "/pinecone/rerank")
