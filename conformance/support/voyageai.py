"""The errors of the Voyage SDK, for everything that is built on it; for suites that have it installed."""

from voyageai import error

from support.contract import Client


class VoyageClient(Client):
    errors = {
        400: error.InvalidRequestError,
        401: error.AuthenticationError,
        404: error.APIError,
        413: error.APIError,
        429: error.RateLimitError,
        502: error.ServiceUnavailableError,
    }

    def status(self, error: error.VoyageError) -> int | None:
        return error.http_status

    def message(self, error: error.VoyageError) -> str:
        # A ServiceUnavailableError speaks for itself; the server's words are in its body.
        return str(error.http_body)
