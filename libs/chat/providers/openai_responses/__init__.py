"""OpenAI's Responses, as its provider speaks them."""
