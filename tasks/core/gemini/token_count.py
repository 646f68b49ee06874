"""Asks the API how many tokens a request has, which costs nothing. Must not send it."""

import json
from typing import Any

import aiohttp
from google import genai

from tasks.core.config.generation import GenerateConfig
from tasks.core.environment.credentials import uses_vertex
from tasks.core.gemini.body import BodyWriter
from tasks.core.gemini.calls import Calls, Send
from tasks.core.records import Request


class TokenCounter:
    """`countTokens` of one model."""

    def __init__(self, client: genai.Client, session: aiohttp.ClientSession, generation: GenerateConfig) -> None:
        self._calls, self._writer = Calls(client, session), BodyWriter(generation)
        self._model = generation.model if "/" in generation.model else f"models/{generation.model}"

    async def count(self, request: Request) -> int:
        """Tokens of the prompt, system instruction and media included.

        Raises:
            ApiError: it was refused.
            ConnectionError: no answer came.
            ValueError: the answer says nothing of tokens.
        """
        whole: dict[str, Any] = json.loads(self._writer.body(request))
        body = whole if uses_vertex() else {"generateContentRequest": {"model": self._model, **whole}}
        path = f"publishers/google/{self._model}" if uses_vertex() else self._model
        answer = json.loads(await self._calls.harmless("post", f"{path}:countTokens", Send(body=body)))
        try:
            return int(answer["totalTokens"])
        except (KeyError, TypeError):
            raise ValueError(f"no totalTokens in the answer: {str(answer)[:100]}") from None
