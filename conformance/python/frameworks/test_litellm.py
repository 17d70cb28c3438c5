"""litellm.rerank: one call for many wire shapes. It never retries by itself."""

from dataclasses import replace

import litellm

from support.contract import AnyModelName, Ask, Client, Echoes, EmptyList, Ranks, Refusals, SendsKey, TopN
from support.logit import from_logits
from support.scores import Hit
from support.stage import Site


class LiteLlm(Client):
    errors = {
        400: litellm.BadRequestError,
        401: litellm.AuthenticationError,
        404: litellm.NotFoundError,
        413: litellm.BadRequestError,
        429: litellm.RateLimitError,
        502: litellm.BadGatewayError,
    }

    def __init__(self, provider: str, path: str = "") -> None:
        self.provider = provider
        self.path = path

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        answer = litellm.rerank(
            model=f"{self.provider}/{ask.model}",
            api_base=site.url + self.path,
            api_key=site.key,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            return_documents=ask.echo,
        )
        assert answer.id
        return [Hit(hit["index"], hit["relevance_score"], self.text(hit)) for hit in answer.results]

    def text(self, hit: dict) -> str | None:
        return hit["document"]["text"] if "document" in hit else None

    def status(self, error: Exception) -> None:
        """The class tells it; the number beside it is the class's, not the server's."""
        return None


class LiteLlmCohere(LiteLlm):
    errors = {**LiteLlm.errors, 502: litellm.InternalServerError}


class LiteLlmInfinity(LiteLlm):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # This provider's adapter drops the text of blank documents.
        return [replace(hit, text=hit.text or "" if ask.echo else None) for hit in super().rank(site, ask)]


class LiteLlmTei(LiteLlm):
    """One server, one model: its name is not sent."""

    bad_input_status = 422
    errors = {
        400: litellm.APIError,
        401: litellm.AuthenticationError,
        413: litellm.APIError,
        429: litellm.RateLimitError,
        502: litellm.APIError,
    }


class LiteLlmNvidia(LiteLlm):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        return from_logits(super().rank(site, ask))


class LiteLlmDeepInfra(LiteLlm):
    errors = {**LiteLlm.errors, 413: litellm.APIError}

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # The scores are in input order; sorting is left to the user.
        return sorted(super().rank(site, ask), key=lambda hit: (-hit.score, hit.index))


class TestCohere(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlmCohere("cohere")


class TestLiteLlmProxy(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlm("litellm_proxy")


class TestJina(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlm("jina_ai")


class TestHostedVllm(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlm("hosted_vllm")


class TestHostedVllmUnderV1(Ranks, Echoes):
    client = LiteLlm("hosted_vllm", "/v1")


class TestInfinityByPrefix(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    """Byte for byte what `hosted_vllm` sends, with another answer wanted: the path says so."""

    client = LiteLlmInfinity("infinity", "/infinity")


class TestHuggingFace(Ranks, SendsKey, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlmTei("huggingface")


class TestVoyage(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = LiteLlm("voyage")


class TestNvidiaRetrieval(Ranks, SendsKey, TopN, Refusals):
    client = LiteLlmNvidia("nvidia_nim")


class TestNvidiaRanking(Ranks, SendsKey, Refusals):
    client = LiteLlmNvidia("nvidia_nim/ranking")


class TestDeepInfra(Ranks, SendsKey, Refusals):
    client = LiteLlmDeepInfra("deepinfra")
