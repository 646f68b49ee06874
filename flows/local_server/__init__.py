"""A Prefect server for the length of a run that has none: live UI, complete history, nobody else's business.

Prefect's own temporary server dies with Ctrl+C before the run does and is stopped before it has recorded everything.
This one is a process of its own in its own session. Runs that overlap share it, and it ends by itself once no run
uses it and all it was told is in the database. Who serves and who uses it is known by file locks, which the kernel
takes from a killed process as well. A run outlives it: see `watch`.

    run          what a run does: join or start the server, wait for it, leave it
    users        who uses it, by a lock that they share
    environment  the settings that name it, while a run uses it
    watch        looks after the server while the run goes on: starts another one, or stands in for it
    boot         the files and locks that both sides share; how a server proves which one it is
    process      the server's own process
    guard        who may speak to it
    stand_in     what answers Prefect's clients where no server can be had

Nothing heavy is imported at the top of `run`, `watch`, `boot` and what they import: the server is to boot beside the
program's imports.
"""

from flows.local_server.boot import LocalServerError
from flows.local_server.run import LocalServer, is_local

__all__ = ["LocalServer", "LocalServerError", "is_local"]
