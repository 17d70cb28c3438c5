"""The errors of the Mixedbread SDK, for everything that is built on it; for suites that have it installed."""

import mixedbread

#: Statuses without a class of their own are the base class.
ERRORS = {
    400: mixedbread.BadRequestError,
    401: mixedbread.AuthenticationError,
    404: mixedbread.NotFoundError,
    413: mixedbread.APIStatusError,
    429: mixedbread.RateLimitError,
    502: mixedbread.InternalServerError,
}
