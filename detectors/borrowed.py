"""Arrays lent to compiled code without being counted. Imported lazily (numba).

Numba counts the references to an array with an atomic instruction wherever the array is taken out of a tuple, however
often. In loops as short as those of `kernel` that is half of the whole time.
"""

from __future__ import annotations

from typing import Any

from numba.extending import intrinsic


@intrinsic
def borrowed(typing: Any, arrays: Any) -> Any:
    """The same named tuple of the same arrays, uncounted: only for as long as the caller holds `arrays`."""

    def lower(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        (lent,) = given
        for i, kind in enumerate(signature.args[0].types):
            array = context.make_array(kind)(context, builder, builder.extract_value(lent, i))
            array.meminfo = array.meminfo.type(None)
            lent = builder.insert_value(lent, array._getvalue(), i)
        return lent

    return arrays(arrays), lower
