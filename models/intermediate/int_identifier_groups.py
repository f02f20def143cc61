"""One row per identifier, with the number of the group that it is tied to, directly or through others (R13).

Connected components over all ties of a record's identifiers. Groups are numbered anew by every build;
what outlives a build is the client_id that int_contact_clients derives from the first contact.
"""

import numpy
import pyarrow
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def model(dbt, session):
    identifiers = dbt.ref("int_identifiers")
    nodes = identifiers.query(
        "identifiers",
        """
        select
            row_number() over (order by brand_id, identifier_kind, identifier) - 1 as node,
            brand_id,
            identifier_kind,
            identifier
        from (select distinct brand_id, identifier_kind, identifier from identifiers)
        order by node
        """,
    ).to_arrow_table()
    ties = session.sql(
        """
        with record_nodes as (
            select
                identifiers.record_kind,
                identifiers.record_id,
                nodes.node
            from identifiers
            inner join nodes using (brand_id, identifier_kind, identifier)
        )
        select
            min(node) over (partition by record_kind, record_id) as tied_to,
            node
        from record_nodes
        qualify node <> tied_to
        """
    ).to_arrow_table()
    tied_to = ties.column("tied_to").to_numpy()
    node = ties.column("node").to_numpy()
    graph = coo_matrix(
        (numpy.ones(len(node), dtype=bool), (tied_to, node)), shape=(len(nodes), len(nodes))
    )
    _, groups = connected_components(graph, directed=False)
    return nodes.drop_columns(["node"]).append_column(
        "identifier_group", pyarrow.array(groups, pyarrow.int64())
    )
