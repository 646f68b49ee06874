"""The settings of this process, and of those it starts, while they use the local server."""

import os
from urllib.request import getproxies

from flows.local_server.boot import HOST

type Environment = dict[str, str | None]  # None: not set


def use(environment: Environment) -> Environment:
    """Put `environment` in place, and return what it replaces."""
    from prefect.context import refresh_global_settings_context

    # The environment and not `temporary_settings`: that one is bound to a context variable, which
    # Prefect's background threads and the processes started by a run do not have.
    replaced = {name: os.environ.pop(name, None) for name in environment}
    os.environ.update({name: value for name, value in environment.items() if value is not None})
    refresh_global_settings_context()
    return replaced


def past_proxies() -> Environment:
    """Prefect's clients would ask the user's proxy for this machine, and give it the password."""
    if not getproxies():
        return {}
    past = ",".join(filter(None, [getproxies().get("no"), HOST]))
    return {"NO_PROXY": past, "no_proxy": past}
