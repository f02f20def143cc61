"""One row per node, that is, per identifier that several identities carry, with its connected component (R13).

The numbers of nodes and components mean nothing outside one build.
"""

import numpy
import pyarrow
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def model(dbt, session):
    nodes = dbt.ref("int_identity_nodes")
    edges = dbt.ref("int_identity_edges")
    size = nodes.aggregate("count(*)").fetchall()[0][0]
    pairs = session.sql(
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
    weights = numpy.ones(len(pairs["node"]), dtype=numpy.int8)
    graph = coo_matrix((weights, (pairs["tied_to"], pairs["node"])), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return pyarrow.table(
        {
            "node": integers(numpy.arange(size)),
            "component": integers(components),
        }
    )


def integers(values: numpy.ndarray) -> pyarrow.Array:
    """An Arrow array of whole numbers. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    return pyarrow.Array.from_buffers(
        pyarrow.int64(), len(values), [None, pyarrow.py_buffer(values.astype(numpy.int64))]
    )
