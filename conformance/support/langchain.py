"""How LangChain's users see documents; for the suites that have LangChain installed."""

from collections.abc import Iterable

from langchain_core.documents import Document
from langchain_core.documents.compressor import BaseDocumentCompressor

from support.contract import Ask
from support.scores import Hit


def compress(reranker: BaseDocumentCompressor, ask: Ask) -> list[Hit]:
    """What `ContextualCompressionRetriever` does. The index travels as metadata."""
    documents = [Document(passage, metadata={"index": index}) for index, passage in enumerate(ask.passages)]
    return _hits(reranker.compress_documents(documents, ask.query))


def _hits(documents: Iterable[Document]) -> list[Hit]:
    return [Hit(document.metadata["index"], document.metadata["relevance_score"]) for document in documents]
