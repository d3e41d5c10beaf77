"""Hubs for tests that only speak HTTP."""
import pytest

from harness import Hub


@pytest.fixture(scope="session")
def open_hub(tmp_path_factory):
    """One hub without authorisation for all tests of a run that keep to repositories of their own."""
    hub = Hub(tmp_path_factory.mktemp("open-hub"), "--no-auth").start()
    yield hub
    hub.stop()


@pytest.fixture
def own_hub(make_hub):
    """A hub without authorisation that nobody else uses."""
    return make_hub("--no-auth")


@pytest.fixture
def name(request):
    """A repository's name that no other test uses."""
    word = "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-")
    while "--" in word:
        word = word.replace("--", "-")
    return f"{request.module.__name__.rpartition('.')[2].replace('_', '-')}/{word}"[:200].rstrip("-")
