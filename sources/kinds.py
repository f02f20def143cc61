"""The kinds of sources."""

from sources.calltouch import Calltouch
from sources.files import Files
from sources.mango import Mango
from sources.metrica import Metrica
from sources.postgres import Postgres
from sources.source import Source

KINDS: dict[str, type[Source]] = {
    "mango": Mango,
    "calltouch": Calltouch,
    "metrica": Metrica,
    "files": Files,
    "postgres": Postgres,
}
