"""One row per node, that is, per identifier that several identities carry, with its connected component (R13).

The numbers of nodes and components mean nothing outside one build.
"""

import numpy
import pyarrow


def components(size, tied_to, node):
    """The component of each node, which is the smallest of its nodes.

    Each node points to one that is no larger. A round lets the two that an edge's ends point to point to the smaller one, and then
    everything to where its target points. A chain is followed in a number of rounds that grows with the logarithm of its length.
    """
    target = numpy.arange(size)
    while True:
        smaller = numpy.minimum(target[tied_to], target[node])
        pointed = target.copy()
        numpy.minimum.at(pointed, target[tied_to], smaller)
        numpy.minimum.at(pointed, target[node], smaller)
        pointed = pointed[pointed]
        if numpy.array_equal(pointed, target):
            return target
        target = pointed


def model(dbt, session):
    nodes = dbt.ref("int_identity_nodes")
    edges = dbt.ref("int_identity_edges")
    size = nodes.aggregate("count(*)").fetchall()[0][0]
    edges = session.sql(
        """
        with edges_of_nodes as (
            select
                edges.record_number,
                cast(nodes.node as integer) as node
            from edges
            inner join nodes using (identifier_key)
        ),
        firsts as (
            select
                record_number,
                min(node) as tied_to
            from edges_of_nodes
            group by record_number
        )
        select
            firsts.tied_to,
            edges_of_nodes.node
        from edges_of_nodes
        inner join firsts using (record_number)
        where edges_of_nodes.node <> firsts.tied_to
        """
    ).fetchnumpy()
    return pyarrow.table(
        {
            "node": integers(numpy.arange(size)),
            "component": integers(components(size, edges["tied_to"], edges["node"])),
        }
    )


def integers(values):
    """An Arrow array of the values. `pyarrow.array` would import pandas, which takes longer than the components of a small build."""
    return pyarrow.Array.from_buffers(
        pyarrow.int64(), len(values), [None, pyarrow.py_buffer(values.astype(numpy.int64))]
    )
