"""What somebody asks for who wants a virtual key made, checked like the `keys` of the file."""

from collections.abc import Mapping

from pydantic import Field, ValidationError

from proxy.config.errors import ConfigError, dotted, problem
from proxy.config.settings import KeyTerms


class NewKey(KeyTerms):
    """The terms of a key that is to be made."""

    expires: str | None = Field(None, description="2027-12-31, 30d")


def new_key(written: Mapping[str, object]) -> NewKey:
    """Read `{"name": "app", "budgets": ["5 USD/day"]}`; `ConfigError` names the field."""
    try:
        return NewKey.model_validate(written)
    except ValidationError as error:
        path, reason = problem(error, NewKey, lambda _: False)
        raise ConfigError(None, dotted(path), reason) from None
