"""What answers Prefect's clients where no server can be had, so that a run ends as it would have. Keeps nothing.

Every change is accepted and every event taken; what asks for something is told that it is not there.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any
from uuid import uuid4

from flows.local_server.boot import Boot
from flows.local_server.guard import Guard, Receive, Scope, Send, respond

FLOWS = "/api/flows/"


def stand_in(listener: socket.socket, boot: Boot, done: threading.Event) -> None:
    """Serve at `listener` until `done`."""
    import uvicorn

    config = uvicorn.Config(
        Guard(_accept, boot), lifespan="off", log_config=None, log_level="critical", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = threading.Thread(target=server.run, args=([listener],), name="stand-in", daemon=True)
    serving.start()
    done.wait()
    server.should_exit = True
    serving.join()


async def _accept(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await _swallow(receive, send)
        return
    body = await _body(receive)
    if scope["method"] in ("POST", "PATCH", "PUT"):
        await respond(send, 201, _accepted(scope["path"], body))
    elif (path := scope["path"]).startswith(FLOWS):  # a client puts the flow's name beside each event
        await respond(send, 200, {"id": path.removeprefix(FLOWS), "name": "infer"})
    else:
        await respond(send, 404, {"exception_message": "There is no Prefect server."})


def _accepted(path: str, body: Any) -> Any:
    """The answer that a client expects of a server that has done what it was asked."""
    if path.endswith("/set_state"):
        return {"state": body["state"], "status": "ACCEPT", "details": {"type": "accept_details"}}
    if path.endswith("-with-lease"):  # slots of a limit: there is none
        return {"lease_id": str(uuid4()), "limits": []}
    return {**body, "id": str(uuid4())} if isinstance(body, dict) else None


async def _body(receive: Receive) -> Any:
    content = b""
    more = True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return json.loads(content or b"null")


async def _swallow(receive: Receive, send: Send) -> None:
    """Events. The first message is a client's password, and it waits for a word on it."""
    await receive()
    await send({"type": "websocket.accept", "subprotocol": "prefect"})
    await receive()
    await send({"type": "websocket.send", "text": json.dumps({"type": "auth_success"})})
    while (await receive())["type"] != "websocket.disconnect":
        pass
