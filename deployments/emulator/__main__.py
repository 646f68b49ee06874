"""The emulator as a process: prints its URL on one line once it listens, ends quietly on SIGTERM or SIGINT.

python -m deployments.emulator --latency lognormal:1.0:0.6 --fail 503:0.02 --requests-per-second 50
"""

import argparse
import asyncio
import signal
from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from deployments.emulator import (
    DEFAULT_MODELS,
    AnswerStyle,
    ApiLimits,
    Constant,
    Emulator,
    HttpError,
    RateLimited,
    Rule,
    parse_latency,
)

_RULE = TypeAdapter(Rule)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until a signal comes."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        limits = ApiLimits(
            options.requests_per_second, options.burst, options.requests_per_minute, options.answers_per_day
        )
    except ValueError as error:
        parser.error(str(error))
    emulator = Emulator(
        rules=options.rules,
        latency=options.latency,
        limits=limits,
        style=options.style,
        models=options.models or DEFAULT_MODELS,
        valid_keys=options.valid_keys,
        seed=options.seed,
        host=options.host,
        port=options.port,
    )
    asyncio.run(_serve(emulator))


async def _serve(emulator: Emulator) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with emulator:
        print(emulator.url, flush=True)
        await stop.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deployments.emulator",
        description="A local stand-in for the Gemini API. Prints its URL once it listens.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on; 0, the default, takes a free one")
    add(
        "--latency",
        type=_latency,
        default=Constant(),
        metavar="SHAPE",
        help="seconds until an answer: 0.2, uniform:0.1:0.5 or lognormal:1.0:0.6, which is mean and sigma",
    )
    add("--seed", type=int, default=0, help="for latencies and probabilities (default: %(default)s)")
    add("--style", type=AnswerStyle, choices=list(AnswerStyle), default=AnswerStyle.DIGEST)
    add("--model", action="append", dest="models", metavar="NAME", help="a model that exists; repeatable")
    add("--valid-key", action="append", dest="valid_keys", metavar="KEY", help="repeatable; default: any key")
    add("--requests-per-second", type=float, metavar="N", help="answer the rest with 429")
    add("--burst", type=int, metavar="N", help="requests that may come at once (default: a second's worth)")
    add("--requests-per-minute", type=int, metavar="N", help="answer the rest with 429")
    add("--answers-per-day", type=int, metavar="N", help="answer the rest with a 429 that names the day")
    add(
        "--fail",
        action="append",
        dest="rules",
        type=_failure,
        metavar="CODE:SHARE",
        help="answer a share of the requests with an HTTP error, as 503:0.02; repeatable",
    )
    add(
        "--rule",
        action="append",
        dest="rules",
        type=_rule,
        metavar="JSON",
        help='any rule, as {"behaviour": {"kind": "finish", "reason": "SAFETY"}, "pattern": "weapon"}',
    )
    parser.set_defaults(rules=[])
    return parser


def _latency(text: str) -> object:
    try:
        return parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _failure(text: str) -> Rule:
    try:
        code, share = text.split(":")
        behaviour = RateLimited() if code == "429" else HttpError(int(code))
        return Rule(behaviour, probability=float(share))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not CODE:SHARE, as 503:0.02 ({error})") from error


def _rule(text: str) -> Rule:
    try:
        return _RULE.validate_json(text)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
