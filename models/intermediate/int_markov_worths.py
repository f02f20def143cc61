"""One row per brand and channel, with its removal effect in parts of a trillion: the share of the brand's contacts that would be
lost if whoever comes to the channel went away.

Chains are walks from a start over channels to a contact or to nothing. A contact is lost without a channel if its walk came to
the channel and led from there to a contact, so one factorization of the steps gives the effects of all channels.
"""

import numpy
import pyarrow
import pyarrow.compute
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import splu

PARTS_OF_ONE = 10**12
CHANNELS_AT_ONCE = 256


def removal_effects(from_channel, to_channel, contact_count, step_count, size):
    """Shares by channel. Channels are numbers from 0 on; `from_channel` -1 is the start, `to_channel` -1 the end of a chain."""
    begins, ends = from_channel < 0, to_channel < 0
    goes_on = ~begins & ~ends
    out_of = numpy.bincount(from_channel[~begins], step_count[~begins], minlength=size)
    start = numpy.bincount(to_channel[begins], step_count[begins], minlength=size) / step_count[begins].sum()
    converts = numpy.bincount(from_channel[ends], contact_count[ends], minlength=size) / out_of
    shares = step_count[goes_on] / out_of[from_channel[goes_on]]
    steps = coo_matrix((shares, (from_channel[goes_on], to_channel[goes_on])), shape=(size, size))
    solver = splu((identity(size) - steps).tocsc())
    leads_to_contact = solver.solve(converts)
    rate = start @ leads_to_contact
    if rate <= 0:
        return numpy.zeros(size)
    visits = solver.solve(start, trans="T")
    returns = numpy.empty(size)
    for first in range(0, size, CHANNELS_AT_ONCE):
        some = numpy.arange(first, min(first + CHANNELS_AT_ONCE, size))
        of_some = numpy.zeros((size, len(some)))
        of_some[some, numpy.arange(len(some))] = 1
        returns[some] = solver.solve(of_some)[some, numpy.arange(len(some))]
    return visits / returns * leads_to_contact / rate


def model(dbt, session):
    steps = dbt.ref("int_chain_steps").order("brand_id, from_channel, to_channel").to_arrow_table()
    brand = steps.column("brand_id").combine_chunks().dictionary_encode()
    from_channel, to_channel = (steps.column(name).combine_chunks() for name in ("from_channel", "to_channel"))
    contact_count = steps.column("contact_count").to_numpy().astype(float)
    step_count = contact_count + steps.column("other_count").to_numpy()
    worths = []
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
        worths.append(
            pyarrow.table(
                {
                    "brand_id": pyarrow.repeat(name, len(channels)),
                    "channel": channels,
                    "worth": numpy.rint(effects * PARTS_OF_ONE).clip(0).astype(numpy.int64),
                }
            )
        )
    columns = pyarrow.schema({"brand_id": pyarrow.string(), "channel": pyarrow.string(), "worth": pyarrow.int64()})
    return pyarrow.concat_tables([columns.empty_table(), *worths])
