"""pinecone.Pinecone().inference.rerank: `POST /pinecone/rerank`, `Api-Key`, documents as objects."""

from pinecone import Pinecone, RetryConfig
from pinecone.errors import exceptions

from support.contract import (
    AnyModelName,
    Ask,
    Client,
    Echoes,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
)
from support.scores import Hit
from support.stage import Site


class PineconeInference(Client):
    # Blank queries and empty lists are refused by the SDK itself.
    errors = {
        401: exceptions.UnauthorizedError,
        404: exceptions.NotFoundError,
        413: exceptions.PayloadTooLargeError,
        429: exceptions.RateLimitError,
        502: exceptions.ServiceError,
    }

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        client = Pinecone(
            site.key,
            host=f"{site.url}/pinecone",
            retry_config=RetryConfig(max_retries=3 if ask.retries else 0),
        )
        answer = client.inference.rerank(
            model=ask.model,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            return_documents=ask.echo,
        )
        assert answer.usage.rerank_units >= 0
        return [Hit(hit.index, hit.score, hit.document and hit.document["text"]) for hit in answer.data]


class TestPinecone(Ranks, SendsKey, AnyModelName, TopN, Echoes, Refusals, WaitsOutRateLimits):
    client = PineconeInference()
