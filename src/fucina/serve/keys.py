"""Keys that may ask: in their file only as hashes, each on a line with a name."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fucina.errors import RecipeError

__all__ = ["Keys", "load_keys", "new_key"]

LINE = re.compile(r"(?P<name>[\w.-]{1,64}) sha256:(?P<hash>[0-9a-f]{64})")


@dataclass(frozen=True)
class Keys:
    """Who may ask.

    Attributes:
        hashes: Name to the hash of its key.
    """

    hashes: Mapping[str, str]

    def owner(self, header: str) -> str | None:
        """Whose key an `Authorization: Bearer …` has; None for nobody's.

        Example:
            >>> key, line = new_key("laptop")
            >>> name, _, hashed = line.partition(" sha256:")
            >>> keys = Keys({name: hashed})
            >>> keys.owner(f"Bearer {key}"), keys.owner("Bearer x"), keys.owner("")
            ('laptop', None, None)
        """
        scheme, _, key = header.partition(" ")
        hashed = _hashed(key.strip())
        # All are compared, so that the time tells nothing.
        found = [name for name, own in self.hashes.items() if hmac.compare_digest(own, hashed)]
        return found[0] if found and scheme.lower() == "bearer" else None


def load_keys(path: Path) -> Keys:
    """Read a file of keys.

    Raises:
        RecipeError: It cannot be read, has a line that is none, or no key.
    """
    fix = f"Make a key: fucina serve --new-key NAME >> {path}"
    try:
        written = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"the keys in {path} cannot be read: {error}.", fix=fix) from error
    hashes: dict[str, str] = {}
    for number, line in enumerate(written, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None:
            raise RecipeError(f"{path}, line {number} is no name with a hashed key.", fix=fix)
        hashes[found["name"]] = found["hash"]
    if not hashes:
        raise RecipeError(f"{path} has no key, so nobody may ask.", fix=fix)
    return Keys(hashes)


def new_key(name: str) -> tuple[str, str]:
    """Make a key of 256 random bits, so that a plain hash of it cannot be guessed back.

    Returns:
        The key, which is to be kept elsewhere, and its line for the file of keys.

    Raises:
        RecipeError: The name cannot stand in the file.
    """
    key = f"fucina-{secrets.token_urlsafe(32)}"
    line = f"{name} sha256:{_hashed(key)}"
    if LINE.fullmatch(line) is None:
        raise RecipeError(
            f"{name!r} cannot be the name of a key.", fix="Use letters, digits, . _ and -."
        )
    return key, line


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
