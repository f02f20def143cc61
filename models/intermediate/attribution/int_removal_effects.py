"""One row per brand and channel of any chain, with its removal effect in trillionths (Attribution): the share of the brand's contacts
that would be lost if everybody who comes to the channel went away.

A chain is a walk from a start over channels to a contact or to nothing. A contact is lost without a channel if its walk came to
the channel and led from there to the contact. So the expected visits of walks give the effects of all channels at once.
"""

from collections.abc import Sequence

import numpy
import pyarrow
import pyarrow.compute
from scipy.sparse import coo_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

PARTS_OF_ONE = 10**12
# Up to this many channels in a strongly connected component, one dense inverse gives all its visits in seconds.
LARGEST_DENSE = 5_000
CHANNELS_AT_ONCE = 256


def factorized(matrix):
    """Factorizes `matrix`. No entry of a row is larger than its diagonal, so no pivots are needed, and a symmetric order fills in least."""
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})


def expected_visits(matrix):
    """How often a walk that begins at a channel is there, by channel: the diagonal of the inverse.

    A walk that leaves a strongly connected component never returns to it, so each component is solved by itself. Most have only
    one channel.
    """
    visits = numpy.ones(matrix.shape[0])
    _, groups = connected_components(matrix, directed=True, connection="strong")
    sizes = numpy.bincount(groups)
    for group in numpy.flatnonzero(sizes > 1):
        members = numpy.flatnonzero(groups == group)
        among = matrix[members][:, members]
        if len(members) <= LARGEST_DENSE:
            visits[members] = numpy.linalg.inv(among.toarray()).diagonal()
            continue
        solver = factorized(among)
        for first in range(0, len(members), CHANNELS_AT_ONCE):
            some = numpy.arange(first, min(first + CHANNELS_AT_ONCE, len(members)))
            units = numpy.zeros((len(members), len(some)))
            units[some, numpy.arange(len(some))] = 1
            visits[members[some]] = solver.solve(units)[some, numpy.arange(len(some))]
    return visits


def removal_effects(from_channel, to_channel, contact_count, step_count, size):
    """The removal effect of each channel, as a share. Channels are numbers from 0; `from_channel` -1 is the start of a chain, `to_channel`
    -1 its end.
    """
    begins, ends = from_channel < 0, to_channel < 0
    goes_on = ~begins & ~ends
    out_of = numpy.bincount(from_channel[~begins], step_count[~begins], minlength=size)
    start = numpy.bincount(to_channel[begins], step_count[begins], minlength=size) / step_count[begins].sum()
    converts = numpy.bincount(from_channel[ends], contact_count[ends], minlength=size) / out_of
    shares = step_count[goes_on] / out_of[from_channel[goes_on]]
    steps = coo_matrix((shares, (from_channel[goes_on], to_channel[goes_on])), shape=(size, size))
    matrix = (identity(size) - steps).tocsr()
    solver = factorized(matrix)
    leads_to_contact = solver.solve(converts)
    rate = start @ leads_to_contact
    if rate <= 0:
        return numpy.zeros(size)
    visits = solver.solve(start, trans="T")
    return visits / expected_visits(matrix) * leads_to_contact / rate


def integers(values: numpy.ndarray) -> pyarrow.Array:
    """An Arrow array of whole numbers. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    return pyarrow.Array.from_buffers(
        pyarrow.int64(), len(values), [None, pyarrow.py_buffer(values.astype(numpy.int64))]
    )


def effects_of_brands(steps: pyarrow.Table) -> pyarrow.Table:
    """Takes what `int_chain_steps` says, in any order."""
    steps = steps.sort_by([(column, "ascending") for column in ("brand_id", "from_channel", "to_channel")])
    brands, channels, effects = [], [], [numpy.zeros(0)]
    for brand in steps.column("brand_id").unique():
        of_brand = steps.filter(pyarrow.compute.equal(steps.column("brand_id"), brand))
        # Every channel of a chain is the `from_channel` of a step. Null, the start of a chain and its end, comes last.
        names = of_brand.column("from_channel").unique()
        size = len(names) - names.null_count
        from_channel, to_channel = (
            numpy.where((numbers := array_of(pyarrow.compute.index_in(of_brand.column(end), names))) < size, numbers, -1)
            for end in ("from_channel", "to_channel")
        )
        contact_count, other_count = (array_of(of_brand.column(name)) for name in ("contact_count", "other_count"))
        effects.append(removal_effects(from_channel, to_channel, contact_count, contact_count + other_count, size))
        brands += [brand.as_py()] * size
        channels += names[:size].to_pylist()
    parts = numpy.rint(numpy.concatenate(effects) * PARTS_OF_ONE).clip(0)
    return pyarrow.table({"brand_id": texts(brands), "channel": texts(channels), "removal_effect": integers(parts)})


def array_of(column: pyarrow.ChunkedArray) -> numpy.ndarray:
    """The numbers of a column without nulls. `to_numpy` would import pandas."""
    return numpy.from_dlpack(column.combine_chunks())


def texts(values: Sequence[str]) -> pyarrow.Array:
    """An Arrow array of texts. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    builder = pyarrow.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def model(dbt, session):
    return {"rows": dbt.ref("int_chain_steps"), "all_at_once": effects_of_brands}
