"""Fixtures of the black-box tests. The classes behind them, and helpers, are in harness.py."""
import os

import pytest

from harness import GoTools, Hub, Kit, Registry, make_model, packed_digest

# Modes in golden data are those of files made under this mask.
os.umask(0o022)


def pytest_addoption(parser):
    parser.addoption("--deep", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--deep"):
        return
    slow = [i for i in items if i.get_closest_marker("slow")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [i for i in items if not i.get_closest_marker("slow")]


@pytest.fixture
def make_kit(tmp_path):
    """make_kit("bob") -> Kit: another person, with a home and a store of their own."""
    return lambda name="other": Kit(tmp_path / f"kit-{name}")


@pytest.fixture
def kit(make_kit):
    return make_kit("own")


@pytest.fixture
def packed(kit):
    """A kit with demo:v1, packed from m in its working folder; packed.digest is its manifest's."""
    make_model(kit.cwd / "m")
    kit.digest = packed_digest(kit.ok("pack", "m", "-t", "demo:v1"))
    return kit


@pytest.fixture
def make_hub(tmp_path):
    """make_hub(*arguments of serve, env={}) -> Hub, running; all are stopped at the end."""
    hubs = []

    def make(*more, env=None):
        hub = Hub(tmp_path / f"hub{len(hubs)}", *more, env=env)
        hubs.append(hub)
        return hub.start()

    yield make
    _stop(hubs)


def _stop(servers):
    """Stops all, even when one does not end as it should; then reports the first."""
    failure = None
    for server in servers:
        try:
            server.stop()
        except AssertionError as e:
            failure = failure or e
    if failure:
        raise failure


@pytest.fixture
def hub(make_hub):
    return make_hub()


@pytest.fixture(scope="session")
def go_tools():
    """go_tools["oras"] -> path of the program"""
    return GoTools()


@pytest.fixture
def registry(tmp_path, go_tools):
    server = Registry(tmp_path / "registry", go_tools["registry"])
    server.start()
    yield server
    _stop([server])
