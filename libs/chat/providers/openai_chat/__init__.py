"""OpenAI's chat completions, as most providers speak them."""
