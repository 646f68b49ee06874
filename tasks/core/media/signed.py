"""What of an address names a file, and what only says until when it may be fetched: signatures of stores and CDNs.

The second is another one each time an address is made, so it is no part of a sample's key and of no message. What may
name a file stays: a `token` alone, of which nothing says that it expires.
"""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote_plus


@dataclass(frozen=True, slots=True)
class _Scheme:
    """Parameters of the query, in lower case: where each of `needs` (one of its names) is, `drops` say nothing."""

    needs: tuple[Collection[str], ...]
    drops: frozenset[str] = frozenset()
    prefix: str = "\0"  # of further ones

    def drops_of(self, names: Collection[str]) -> set[str]:
        if not all(any(name in names for name in each) for each in self.needs):
            return set()
        return {name for name in names if name in self.drops or name.startswith(self.prefix)}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_EXPIRIES = _names("expires expire expiry exp expires_at")
_SCHEMES = (
    _Scheme((["x-amz-signature"],), prefix="x-amz-"),  # S3, version 4
    _Scheme((["x-goog-signature"],), prefix="x-goog-"),  # Google Cloud Storage, version 4
    _Scheme((["x-oss-signature"],), prefix="x-oss-"),  # Alibaba
    _Scheme((["q-signature"],), prefix="q-"),  # Tencent
    _Scheme(  # S3 and Google version 2, Alibaba version 1, CloudFront
        (["signature"], ["expires", "policy"]),
        _names("signature expires policy key-pair-id hash-algorithm awsaccesskeyid googleaccessid ossaccesskeyid")
        | _names("security-token x-amz-security-token"),
    ),
    _Scheme(  # Azure's SAS: https://learn.microsoft.com/rest/api/storageservices/create-service-sas
        (["sig"], ["sv"]),
        _names("sig sv ss srt sr sp st se spr sip si sdd skoid sktid skt ske sks skv saoid suoid scid ses"),
    ),
    _Scheme((["token"], _EXPIRIES), _EXPIRIES | _names("token token_path")),  # Bunny and others
    _Scheme((["hm"], ["ex"]), _names("ex is hm")),  # Discord
    _Scheme((["hdnts", "hdnea", "__token__", "__gda__"],), _names("hdnts hdnea __token__ __gda__")),  # Akamai
)


def without_signature(address: str) -> str:
    """`address` as it was before it was signed; to the letter itself where it is not, or is none."""
    if "://" not in address[:20] or "?" not in address:
        return address
    bare, _, rest = address.partition("?")
    query, mark, fragment = rest.partition("#")
    pieces = [(unquote_plus(piece.partition("=")[0]).lower(), piece) for piece in query.split("&")]
    names = {name for name, _ in pieces}
    dropped = set[str]().union(*(scheme.drops_of(names) for scheme in _SCHEMES))
    if not dropped:
        return address
    left = "&".join(piece for name, piece in pieces if name not in dropped)
    return f"{bare}{'?' if left else ''}{left}{mark}{fragment}"
