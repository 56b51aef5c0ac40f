"""OpenAI's completions from before chat, as clients still speak it: a prompt in, text out."""
