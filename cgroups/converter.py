"""Text codecs and their combinators, under the seed's names.

A :class:`Reader` converts a control file's text to a value, a :class:`Writer`
converts a value to text, and a :class:`Converter` does both.  A converter reads
back the same value that it writes.  ``read(converter, text)`` and
``write(converter, value)`` apply codecs directly; ``mk_get``, ``mk_set`` and
``mk_reset`` build parameters from codecs::

    my_limit = mk_set("memory", "my_limit", Converter.bounded_int(min=1))

Reading raises ParseError, writing raises InvalidValue.
"""

from .core.codecs import Converter, Reader, Writer, bounded_int, device, read, ro, rw, string, wo, write
from .core.codecs import boolean as bool
from .core.codecs import integer as int
from .core.combinators import list_of as list
from .core.combinators import pair, triple
from .core.range_codecs import ranges as range
from .core.range_codecs import single_range

__all__ = [
    "Converter",
    "Reader",
    "Writer",
    "bool",
    "bounded_int",
    "device",
    "int",
    "list",
    "pair",
    "range",
    "read",
    "ro",
    "rw",
    "single_range",
    "string",
    "triple",
    "wo",
    "write",
]
