"""What a seed says is to happen: a data set, and the acts of a play that ends with a plain `--resume`.

Pure: the same seed is the same scenario on every machine. Starts nothing and knows no oracle.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

IMAGES = ("sales.png", "tiles.png", "marks.webp", "visitors.webp", "shapes.jpg", "sky.jpg")
PROMPTS = ("question {n}", '질문 {n}, "{n}"?', "line one of {n}\nline two; = {n}", "{n} + 1 = ?")
BROKEN_IMAGE = "broken.png"
FIRST_STEP_SECONDS = 0.2  # after the first line that a run prints


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    text: str
    image: str | None = None


class What(StrEnum):
    """What is done to a run."""

    KILL = "kill -9"
    INTERRUPT = "SIGINT"
    TERMINATE = "SIGTERM"
    STOP = "SIGSTOP"
    CONTINUE = "SIGCONT"
    STORAGE_AWAY = "storage fails"
    STORAGE_BACK = "storage is back"
    RIVAL = "second run"
    KILL_SERVER = "kill -9 of the server"


@dataclass(frozen=True, slots=True)
class Moment:
    """`seconds` after the run has got `share` of the answers it needs, or after what was done before."""

    seconds: float
    share: float = 0.0

    def __str__(self) -> str:
        return (f"{self.share:.0%} answered " if self.share else "") + f"+{self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Step:
    what: What
    at: Moment


@dataclass(frozen=True, slots=True)
class Act:
    """One run: what it is asked for, what its data are, and what happens to it."""

    kind: str
    rows: tuple[Row, ...]
    edit: str
    resume: bool
    limit: int | None
    save_every: int | None
    max_concurrent: int
    latency_seconds: float
    timeout_seconds: float | None
    steps: tuple[Step, ...]

    @property
    def wanted(self) -> tuple[Row, ...]:
        return self.rows[: self.limit]

    @property
    def flags(self) -> list[str]:
        """All but --resume, which a second run beside this one always has."""
        named = {
            "--limit": self.limit,
            "--save-every": self.save_every,
            "--max-concurrent": self.max_concurrent,
            "--timeout-seconds": self.timeout_seconds,
        }
        return [text for name, value in named.items() if value is not None for text in (name, str(value))]

    @property
    def storage_stays_away(self) -> bool:
        return all(step.what is not What.STORAGE_BACK for step in self.steps)

    def __str__(self) -> str:
        steps = ", ".join(f"{step.what} at {step.at}" for step in self.steps) or "nothing happens"
        edit = f"; data: {self.edit}" if self.edit else ""
        flags = " ".join([*self.flags, *(["--resume"] if self.resume else [])])
        return f"{self.kind}: {len(self.rows)} rows, {flags}, answers take {self.latency_seconds:.2f} s{edit}; {steps}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`own_server`: each run has the local server that it starts itself."""

    seed: int
    acts: tuple[Act, ...]
    own_server: bool = False

    @property
    def slow(self) -> bool:
        """Whether it waits for a server's boot, or for a run that gives its storage up: better begun first."""
        return self.own_server or any(act.kind == "broken storage" for act in self.acts)

    def __str__(self) -> str:
        server = ", each run with its own local server" if self.own_server else ""
        return "\n".join([f"seed {self.seed}{server}", *(f"  act {n}  {act}" for n, act in enumerate(self.acts))])


def draw(seed: int) -> Scenario:
    """The scenario of `seed`. Seeds that follow each other go through all kinds of trouble."""
    chance = Random(seed)
    if seed % SERVER_EVERY == 0:
        return _server_scenario(seed, chance)
    data = _Data(chance)
    kinds = chance.choices(list(KINDS), k=chance.choice((0, 1, 1, 2)))
    kinds.insert(chance.randint(0, len(kinds)), list(KINDS)[seed % len(KINDS)])
    acts: list[Act] = []
    for kind in kinds:
        acts.append(_act(kind, data, chance, first=not acts))
    return Scenario(seed, (*acts, _last(data, chance)))


class _Data:
    """A data set that is edited between runs."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._made = 0
        self.rows: list[Row] = []
        for _ in range(chance.randint(60, 150)):
            self.rows.append(self._new())
        self.rows[chance.randrange(len(self.rows))] = self._named("a picture that can't be read", BROKEN_IMAGE)

    def _new(self) -> Row:
        """A row like no other, or one that asks what another one asks."""
        whole = [row for row in self.rows if row.image != BROKEN_IMAGE]
        if whole and self._chance.random() < 0.1:
            twin = self._chance.choice(whole)
            return self._named(twin.text, twin.image)
        image = self._chance.choice(IMAGES) if self._chance.random() < 0.15 else None
        shape = self._chance.choice(
            ("question {n}", '질문 {n}, "{n}"?', "line one of {n}\nline two; = {n}", "{n} + 1 = ?")
        )
        return self._named(shape.format(n=self._made), image)

    def _named(self, text: str, image: str | None) -> Row:
        self._made += 1
        return Row(f"r{self._made}", text, image)

    def edit(self) -> str:
        """Change the rows in one or two ways; says how."""
        ways = (self._insert, self._delete, self._move, self._change)
        return ", ".join(way() for way in self._chance.sample(ways, self._chance.randint(1, 2)))

    def _some(self) -> int:
        return self._chance.randint(1, 10)

    def _place(self) -> int:
        return self._chance.randrange(len(self.rows))

    def _insert(self) -> str:
        count, place = self._some(), self._place()
        self.rows[place:place] = [self._new() for _ in range(count)]
        return f"{count} inserted"

    def _delete(self) -> str:
        count = self._some()
        for _ in range(count):
            del self.rows[self._place()]
        return f"{count} deleted"

    def _move(self) -> str:
        count, place = self._some(), self._place()
        moved = self.rows[place : place + count]
        del self.rows[place : place + count]
        place = self._place()
        self.rows[place:place] = moved
        return f"{len(moved)} moved"

    def _change(self) -> str:
        count = self._some()
        for _ in range(count):
            place = self._place()
            self.rows[place] = Row(self.rows[place].id, f"{self.rows[place].text} (edited: {self._named('', None).id})")
        return f"{count} edited"


def _any_moment(chance: Random) -> Moment:
    """While it plans, while it sends, or while it saves and writes the CSV."""
    match chance.choices(("plans", "sends", "writes"), (2, 6, 2)):
        case ["plans"]:
            return Moment(chance.uniform(FIRST_STEP_SECONDS, 1.2))
        case ["sends"]:
            return Moment(chance.uniform(0, 0.2), chance.uniform(0.05, 0.95))
        case _:
            return Moment(chance.uniform(0, 0.8), 1.0)


def _early(chance: Random) -> Moment:
    return Moment(chance.uniform(0, 0.2), chance.uniform(0.05, 0.4))


def _after(chance: Random, low: float, high: float) -> Moment:
    return Moment(chance.uniform(low, high))


type Steps = Callable[[Random], list[Step]]


def _signalled(what: What, *more: Step) -> Steps:
    return lambda chance: [Step(what, _any_moment(chance)), *more]


def _double(chance: Random) -> list[Step]:
    first = Step(What.INTERRUPT, _any_moment(chance))
    return [first, Step(What.INTERRUPT, _after(chance, 0.01, 0.1))]


def _supervised(chance: Random) -> list[Step]:
    first = Step(What.TERMINATE, _any_moment(chance))
    return [first, Step(What.TERMINATE, _after(chance, 0.0, 0.1))]


def _impatient(chance: Random) -> list[Step]:
    return [Step(What.INTERRUPT, _early(chance)), Step(What.INTERRUPT, Moment(1.5))]


def _paused(chance: Random) -> list[Step]:
    return [Step(What.STOP, _any_moment(chance)), Step(What.CONTINUE, _after(chance, 0.5, 3.5))]


def _paused_and_killed(chance: Random) -> list[Step]:
    pause = [Step(What.STOP, _early(chance)), Step(What.CONTINUE, _after(chance, 0.3, 1.5))]
    return [*pause, Step(What.KILL, _after(chance, 0.0, 1.5))]


def _outage(chance: Random) -> list[Step]:
    return [Step(What.STORAGE_AWAY, _any_moment(chance)), Step(What.STORAGE_BACK, _after(chance, 0.5, 4.0))]


def _outage_and_kill(chance: Random) -> list[Step]:
    return [Step(What.STORAGE_AWAY, _early(chance)), Step(What.KILL, _after(chance, 0.1, 2.0))]


def _rival(chance: Random) -> list[Step]:
    return [Step(What.RIVAL, _early(chance))]


def _rival_and_kill(chance: Random) -> list[Step]:
    return [Step(What.RIVAL, _early(chance)), Step(What.KILL, _after(chance, 0.0, 1.5))]


def _nothing(chance: Random) -> list[Step]:
    return []


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of act: its steps, and what its flags must be for them to mean something."""

    steps: Steps
    flags: dict[str, object] = field(default_factory=dict)


_SLOW: dict[str, object] = {"max_concurrent": 3, "limit": None}  # so that a second run meets the first
KINDS: dict[str, _Kind] = {
    "kill": _Kind(_signalled(What.KILL)),
    "interrupt": _Kind(_signalled(What.INTERRUPT)),
    "outage": _Kind(_outage),
    "limit": _Kind(_nothing),
    "rival": _Kind(_rival, _SLOW),
    "double interrupt": _Kind(_double),
    "kill again": _Kind(_signalled(What.KILL), {"resume": True}),
    "pause": _Kind(_paused, {"timeout_seconds": 2.0}),
    "terminate": _Kind(_supervised),
    "outage and kill": _Kind(_outage_and_kill),
    "fresh": _Kind(_nothing, {"resume": False}),
    "impatient": _Kind(_impatient, {"latency_seconds": 0.8}),
    "broken storage": _Kind(lambda chance: [Step(What.STORAGE_AWAY, _any_moment(chance))]),
    "rival and kill": _Kind(_rival_and_kill, _SLOW),
    "pause and kill": _Kind(_paused_and_killed),
}
SERVER_EVERY = 20


def _act(kind: str, data: _Data, chance: Random, *, first: bool) -> Act:
    edit = data.edit() if not first and chance.random() < 0.5 else ""
    limited = kind == "limit" or chance.random() < 0.2
    drawn: dict[str, object] = {
        "resume": chance.random() < (0.2 if first else 0.75),
        "limit": chance.randint(5, len(data.rows)) if limited else None,
        "save_every": chance.choice((None, 3, 5, 20, 50)),
        "max_concurrent": chance.randint(4, 12),
        "latency_seconds": chance.uniform(0.05, 0.15),
        "timeout_seconds": None,
    }
    steps = tuple(KINDS[kind].steps(chance))
    return Act(kind, tuple(data.rows), edit, steps=steps, **(drawn | KINDS[kind].flags))  # type: ignore[arg-type]


def _last(data: _Data, chance: Random) -> Act:
    """To the end, with nothing in its way."""
    edit = data.edit() if chance.random() < 0.4 else ""
    return Act("resume", tuple(data.rows), edit, True, None, None, 10, 0.05, None, ())


def _server_scenario(seed: int, chance: Random) -> Scenario:
    data = _Data(chance)
    run = _act("fresh", data, chance, first=True)
    killed = [Step(What.KILL_SERVER, Moment(chance.uniform(0, 0.2), chance.uniform(0.1, 0.6)))]
    acts = (
        Act("server killed", run.rows, "", False, None, 5, 5, run.latency_seconds, None, tuple(killed)),
        _last(data, chance),
    )
    return Scenario(seed, acts, own_server=True)
