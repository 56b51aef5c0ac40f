"""OpenAI's Responses, as clients speak them."""
