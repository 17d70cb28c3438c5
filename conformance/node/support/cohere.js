// The errors of cohere-ai, for everything that is built on it, with the classes of the version in question.
import { byClass } from "./contract.js";

export const cohereErrors = ({ Cohere, CohereError }) => ({
  isOwn: byClass({
    400: Cohere.BadRequestError,
    401: Cohere.UnauthorizedError,
    404: Cohere.NotFoundError,
    413: CohereError,
    429: Cohere.TooManyRequestsError,
    502: CohereError,
  }),
  status: (error) => error.statusCode,
  message: (error) => error.body.message,
});
