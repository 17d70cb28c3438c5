"""mixedbread.Mixedbread: the official SDK with strict validation, `POST /v1/reranking`."""

from mixedbread import Mixedbread

from support.contract import (
    AnyModelName,
    Ask,
    Client,
    Echoes,
    EmptyList,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
)
from support.mixedbread import ERRORS
from support.scores import Hit
from support.stage import Site


class MixedbreadStrict(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        client = Mixedbread(api_key=site.key, base_url=site.url, _strict_response_validation=True)
        answer = client.with_options(max_retries=2 if ask.retries else 0).rerank(
            model=ask.model,
            query=ask.query,
            input=ask.passages,
            return_input=ask.echo,
            **({} if ask.top_n is None else {"top_k": ask.top_n}),
        )
        assert answer.usage.total_tokens >= 0
        return [Hit(result.index, result.score, result.input) for result in answer.data]


class TestMixedbread(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals, WaitsOutRateLimits):
    client = MixedbreadStrict()
