"""The errors of the Cohere SDK, for everything that is built on it; for suites that have it installed."""

import cohere
from cohere.core.api_error import ApiError

#: Statuses without a class of their own are the base class.
ERRORS = {
    400: cohere.BadRequestError,
    401: cohere.UnauthorizedError,
    404: cohere.NotFoundError,
    413: ApiError,
    429: cohere.TooManyRequestsError,
    502: ApiError,
}
