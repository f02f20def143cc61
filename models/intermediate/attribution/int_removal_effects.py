"""One row per brand and channel, with its removal effect in parts of a trillion: the share of the brand's contacts that would be
lost if whoever comes to the channel went away.

Chains are walks from a start over channels to a contact or to nothing. A contact is lost without a channel if its walk came to
the channel and led from there to a contact, so the expected visits of walks give the effects of all channels at once.
"""

import numpy
import pyarrow
import pyarrow.compute
from scipy.sparse import coo_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

PARTS_OF_ONE = 10**12
# Up to so many channels that walks go round among, all is had from one dense inverse, in seconds.
LARGEST_DENSE = 5_000
CHANNELS_AT_ONCE = 256


def factorized(matrix):
    """Rows of `matrix` hold nothing larger than their diagonal, so it needs no pivots, and an order for symmetric ones fills in least."""
    return splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})


def expected_visits(matrix):
    """How often a walk that begins at a channel is there, by channel: the diagonal of the inverse.

    A walk that leaves channels from which nothing leads back to where it began doesn't return, so they are looked at in such groups;
    most channels are one by themselves.
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
    """Shares by channel. Channels are numbers from 0 on; `from_channel` -1 is the start, `to_channel` -1 the end of a chain."""
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


def model(dbt, session):
    steps = dbt.ref("int_chain_steps").order("brand_id, from_channel, to_channel").to_arrow_table()
    brand = steps.column("brand_id").combine_chunks().dictionary_encode()
    from_channel, to_channel = (steps.column(name).combine_chunks() for name in ("from_channel", "to_channel"))
    contact_count = steps.column("contact_count").to_numpy().astype(float)
    step_count = contact_count + steps.column("other_count").to_numpy()
    tables = []
    for number, name in enumerate(brand.dictionary):
        of_brand = brand.indices.to_numpy() == number
        froms, tos = from_channel.filter(pyarrow.array(of_brand)), to_channel.filter(pyarrow.array(of_brand))
        # Every channel of a chain is come from.
        channels = froms.drop_null().unique().sort()
        effects = removal_effects(
            *(pyarrow.compute.index_in(ends, channels).fill_null(-1).to_numpy() for ends in (froms, tos)),
            contact_count[of_brand],
            step_count[of_brand],
            len(channels),
        )
        tables.append(
            pyarrow.table(
                {
                    "brand_id": pyarrow.repeat(name, len(channels)),
                    "channel": channels,
                    "removal_effect": numpy.rint(effects * PARTS_OF_ONE).clip(0).astype(numpy.int64),
                }
            )
        )
    columns = pyarrow.schema({"brand_id": pyarrow.string(), "channel": pyarrow.string(), "removal_effect": pyarrow.int64()})
    return pyarrow.concat_tables([columns.empty_table(), *tables])
