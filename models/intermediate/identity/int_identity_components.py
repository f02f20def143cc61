"""One row per node, that is, per identifier that several identities carry, with its connected component (R13).

The numbers of nodes and components mean nothing outside one build.
"""

import numpy
import pyarrow
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def model(dbt, session):
    nodes = dbt.ref("int_identity_nodes")
    ties = dbt.ref("int_identity_edges")
    size = nodes.aggregate("count(*)").fetchall()[0][0]
    columns = session.sql(
        """
        with edges_of_nodes as (
            select
                ties.identity_key,
                cast(nodes.node as integer) as node
            from ties
            inner join nodes using (identifier_key)
        ),
        firsts as (
            select
                identity_key,
                min(node) as tied_to
            from edges_of_nodes
            group by identity_key
        )
        select
            firsts.tied_to,
            edges_of_nodes.node
        from edges_of_nodes
        inner join firsts using (identity_key)
        where edges_of_nodes.node <> firsts.tied_to
        """
    ).to_arrow_table()
    tied_to = columns.column("tied_to").to_numpy()
    node = columns.column("node").to_numpy()
    graph = coo_matrix((numpy.ones(len(node), dtype=numpy.int8), (tied_to, node)), shape=(size, size))
    _, components = connected_components(graph, directed=False)
    return pyarrow.table(
        {
            "node": pyarrow.array(numpy.arange(size), pyarrow.int64()),
            "component": pyarrow.array(components, pyarrow.int64()),
        }
    )
