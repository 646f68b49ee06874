"""How many files and connections this process may have open. Each request in flight takes one."""

import sys

RESERVED = 100  # for the data set, Prefect's connections, the journal, images that are being read


def make_room(requests: int, per_request: int = 1) -> int:
    """Raise this process's limit so that `requests` fit, as far as the system lets it; returns how many fit."""
    if sys.platform == "win32":
        return requests
    import resource

    needed = RESERVED + requests * per_request
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < needed:
        limit = needed if most == resource.RLIM_INFINITY else min(needed, most)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
        except (OSError, ValueError):  # macOS has a second limit that it does not name here
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fit = requests if limit == resource.RLIM_INFINITY else (limit - RESERVED) // per_request
    return max(1, min(requests, fit))
