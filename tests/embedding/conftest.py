import pytest

from proxy.embedding.builtin import Builtin


@pytest.fixture(scope="session")
def builtin() -> Builtin:
    return Builtin()
