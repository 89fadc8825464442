"""What we know of a provider by its name: address, own defaults, variables with its keys."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Known:
    """One provider that needs no `base_url` in the file."""

    base_url: str
    default_model: str  # asked when nobody names a model and this is the default provider
    variables: tuple[str, ...] = ()  # each holds one key
    plural: bool = False  # the variables also come as NAMES (comma-separated) and NAME_1, NAME_2, …
    org_per_key: bool = (
        False  # quotas belong to the key's own project, not to one shared organisation
    )
    defaults: Mapping[str, object] = field(
        default_factory=dict
    )  # further knobs, shaped as in the file


# In the order in which one becomes the default provider, and later the fallback.
KNOWN: Final[Mapping[str, Known]] = {
    "groq": Known(
        base_url="https://api.groq.com/openai/v1",
        default_model="openai/gpt-oss-20b",
        variables=("GROQ_API_KEY",),
        plural=True,
    ),
    "gemini": Known(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        default_model="gemini-3.5-flash-lite",
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        plural=True,
        org_per_key=True,
    ),
    "openai": Known(
        base_url="https://api.openai.com/v1",
        default_model="gpt-5.4-mini",
        variables=("OPENAI_API_KEY",),
    ),
    "ollama": Known(
        base_url="http://localhost:11434/v1",
        default_model="llama3.2",
        # a cold start loads the model before the first byte, which may take minutes
        defaults={"keys": "none", "timeouts": {"first_byte_s": 180}},
    ),
}
