"""What the outcome of one request means for all others: throttle, breaker and image guard hear of it here, in order.

Sends nothing and ends no row; `obey` is called with a Stop when the run must end.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.core.answering.breaker import Breaker, Stop
from tasks.core.answering.bulk import Bulk
from tasks.core.answering.image_guard import ImageGuard, names_media
from tasks.core.answering.minute import Slot
from tasks.core.answering.throttle import Throttle
from tasks.core.answering.tries import Tries
from tasks.core.config.limits import LimitsConfig
from tasks.core.prompts.prepare import Prepared
from tasks.core.records import Kind, Outcome


@dataclass(slots=True)
class Lessons:
    """`on_outage(why, seconds)` hears that nobody is answered, and with an empty `why` that somebody is again."""

    limits: LimitsConfig
    throttle: Throttle
    breaker: Breaker
    obey: Callable[[Stop], object]
    on_outage: Callable[[str, float], object] = lambda why, seconds: None
    bulk: Bulk = field(default_factory=Bulk)
    images: ImageGuard = field(init=False)

    def __post_init__(self) -> None:
        self.images = ImageGuard(self.limits.allow_missing_images)

    def learn(self, row: int, slot: Slot, tries: Tries, outcome: Outcome) -> None:
        """Raises RunStopped where the run ends: its rows must not end by what ends them all."""
        weather = self.breaker.weather
        was_out, failing_seconds = weather.out, weather.failing_seconds
        stop = self.breaker.observe(row, outcome)
        if outcome.kind is Kind.RATE_LIMIT:
            self._rate_limited(slot, tries, outcome)
        elif not outcome.kind.retryable:
            self.throttle.answered(slot)
        if outcome.kind.answered:
            self.bulk.answered(slot.tokens)
        self.throttle.bound(weather.ceiling(self.limits.max_concurrent), weather.gap_seconds)
        if weather.out != was_out:
            self.on_outage(f"{outcome.kind}: {outcome.detail}" if weather.out else "", failing_seconds)
        if stop:
            self.obey(stop)
        if outcome.kind.retryable or outcome.for_all_rows:
            self.throttle.check()

    def image_left_out(self, row: int, prepared: Prepared, tries: Tries) -> None:
        """A row is about to go without its image.

        Raises:
            RunStopped: all images fall away.
        """
        known = not tries.without_image or names_media(tries.without_image)
        if prepared.lacks_media and known and (stop := self.images.fell_away(row, prepared.media_note)):
            self.obey(stop)
            self.throttle.check()

    def image_told(self, row: int, prepared: Prepared, tries: Tries, outcome: Outcome) -> None:
        """An answer says whether the image was what the API refused, where it does not say so itself."""
        if not outcome.kind.answered:
            return
        if prepared.request.media:
            self.images.accepted()
        elif tries.without_image and (stop := self.images.fell_away(row, tries.without_image)):
            self.obey(stop)

    def _rate_limited(self, slot: Slot, tries: Tries, outcome: Outcome) -> None:
        """A row that is refused for its size is no reason for others to wait."""
        if tries.alone:
            self.bulk.refused_alone(slot.tokens)
        elif self.bulk.suspects(slot.tokens, tries.kinds[Kind.RATE_LIMIT] + 1):
            tries.alone = True
        else:
            self.throttle.rate_limited(slot, self.breaker.bearable(outcome.retry_delay_seconds))
