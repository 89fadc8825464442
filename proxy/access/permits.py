"""Which models and endpoints a caller may use."""

from collections.abc import Sequence

from proxy.core.call import ANYONE, Call, Endpoint, Target
from proxy.core.errors import Forbidden, ModelNotAllowed


def permitted(
    call: Call, targets: Sequence[Target], default_provider: str, *, alias: bool = False
) -> Sequence[Target]:
    """Those of `targets` that the caller may use, the first one among them; raises `Forbidden`.

    Whoever may use an `alias` may use all that it leads to. Otherwise each target must be named,
    also one that would only stand in for another.
    """
    caller = call.caller
    if call.endpoint is Endpoint.OTHER and caller is not ANYONE:
        part = call.path.partition("/")[0]
        if part not in caller.endpoints:
            raise Forbidden(
                f"this key may not use /v1/{part}; it needs `endpoints: [{part}]`",
                code="endpoint_not_allowed",
            )
    if not caller.models or call.endpoint is Endpoint.OTHER:
        return targets
    if alias and call.model in caller.models:
        return targets
    first, *others = targets
    if call.model not in caller.models and not may_use(caller.models, first, default_provider):
        raise ModelNotAllowed(
            f"this key may not use the model {call.model[:256]!r}: its `models` do not name it;"
            " see GET /v1/models"
            if call.model
            else "this key may use some models only, and the upload does not begin with its model",
            param="model",
        )
    return [first, *(each for each in others if may_use(caller.models, each, default_provider))]


def may_use(models: Sequence[str], target: Target, default_provider: str) -> bool:
    """Whether a target is among `models`, by its whole name or, at the default provider, its id."""
    return str(target) in models or (target.provider == default_provider and target.model in models)
