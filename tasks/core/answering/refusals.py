"""Tells what an error of the API refuses: the row's own request, or what every request of the run has in common.

Must not say what becomes of either (outcomes.py, breaker.py).
"""

import re
from typing import Any

from tasks.core.errors import ApiError, StopReason

# Certain at the first time, and of every row: nothing was wrong with the request.
ACCOUNT = frozenset({StopReason.NO_CREDIT, StopReason.NO_QUOTA})
_KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED"})
# Of real messages: "Your prepayment credits are depleted.", "Your project has exceeded its monthly spending cap.",
# "This API method requires billing to be enabled.", "... not supported for the API use without a billing account
# linked." Not of every 429: "please check your plan and billing details".
_NO_CREDIT = re.compile(
    r"\bcredits?\b[^.]{0,30}\b(?:depleted|exhausted|used up|expired)"
    r"|\bspend(?:ing)? (?:cap|limit)"
    r"|\bbilling\b[^.]{0,60}\b(?:enabled|disabled|linked|closed|suspended)"
    r"|\benable billing",
    re.IGNORECASE,
)
# "You do not have permission to access the File abc-123 or it may not exist."
_GONE = re.compile(r"\bfile\b.*\b(?:not exist|not found)", re.IGNORECASE | re.DOTALL)
_NO_QUOTA = re.compile(r"\blimit: 0(?!\.?\d)")


def refused_by(error: ApiError) -> StopReason | None:
    """What the run would stop with, should it stop over this; None where the error concerns one row or passes."""
    reasons = {str(detail.get("reason")) for detail in error.details}
    if _says_no_credit(error, reasons):
        return StopReason.NO_CREDIT
    if error.code == 429:
        return StopReason.NO_QUOTA if _says_no_quota(error) else None
    if 300 <= error.code < 400:
        return StopReason.REFUSED
    if is_gone(error):
        return None
    if error.code == 404:
        return StopReason.REFUSED_MODEL if "model" in error.message.lower() else StopReason.REFUSED_ENDPOINT
    if error.code in (401, 403) or reasons & _KEY_REASONS:
        return StopReason.REFUSED_KEY
    if error.status == "FAILED_PRECONDITION":
        return StopReason.REFUSED_PLACE if "location" in error.message.lower() else StopReason.REFUSED
    return None


def is_gone(error: ApiError) -> bool:
    """Whether a file of the File API that the request names has expired, or never was."""
    return error.code in (403, 404) and _GONE.search(error.message) is not None


def violations(details: list[dict[str, Any]]) -> list[Any]:
    """The quotas that an error names; what is sent where a list belongs need not be one."""
    found = [detail.get("violations") for detail in details]
    return [violation for value in found if value for violation in (value if isinstance(value, list) else [value])]


def _says_no_credit(error: ApiError, reasons: set[str]) -> bool:
    """A message counts where it cannot repeat a prompt: not that of a refused argument."""
    if error.code == 402 or "BILLING_DISABLED" in reasons:
        return True
    trusted = error.code in (403, 429) or error.status == "FAILED_PRECONDITION"
    return trusted and _NO_CREDIT.search(error.message) is not None


def _says_no_quota(error: ApiError) -> bool:
    values = [violation.get("quotaValue") for violation in violations(error.details) if isinstance(violation, dict)]
    return any(str(value) in ("0", "0.0") for value in values) or _NO_QUOTA.search(error.message) is not None
