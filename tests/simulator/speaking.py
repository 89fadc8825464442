"""Simulators of the other dialects, and what tests ask them."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from proxy.simulator.clock import Clock
from proxy.simulator.settings import Dialect, SimulatorSettings
from tests.simulator.conftest import Town, opened

MODELS = {
    Dialect.GROQ: "openai/gpt-oss-20b",
    Dialect.GEMINI: "gemini-3.8-flash",
    Dialect.OLLAMA: "gpt-oss:20b",
}
KEYS = {Dialect.GROQ: "gsk_test", Dialect.GEMINI: "AIzaTest", Dialect.OLLAMA: "ollama"}

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "local_time", "parameters": {"type": "object"}}}


def speaking(
    dialect: Dialect, clock: Clock | None = None, **settings: Any
) -> AbstractAsyncContextManager[Town]:
    made = SimulatorSettings(dialect=dialect, **settings)
    return opened(made, clock, key=KEYS[dialect])


def asked(dialect: Dialect, text: str = "Why is the sky blue?", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": MODELS[dialect], "messages": messages, **more}
