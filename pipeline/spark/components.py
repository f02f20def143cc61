"""Connected components of a graph that is too large for one process, by alternating large-star and small-star.

After Kiveris, Lattanzi, Mirrokni, Rastogi and Vassilvitskii, "Connected Components in MapReduce and Beyond" (2014). Each round is a
few joins; some log²(nodes) rounds suffice, and usual graphs need few.
"""

from pyspark.sql import DataFrame, SparkSession

# Where a round writes its edges: a table is still there if a worker dies, and its plan doesn't grow with the rounds.
ROUNDS = ("intermediate.components_even", "intermediate.components_odd")

# Each node's larger neighbours are linked to its smallest one instead, or to itself if it is the smallest.
LARGE_STAR = """
    with neighbours as (
        select larger as node, smaller as neighbour from {edges}
        union all
        select smaller as node, larger as neighbour from {edges}
    ),
    smallest as (
        select node, least(node, min(neighbour)) as smallest from neighbours group by node
    )
    select distinct neighbours.neighbour as larger, smallest.smallest as smaller
    from neighbours
    inner join smallest on neighbours.node = smallest.node
    where neighbours.neighbour > neighbours.node
"""
# Each node and its smaller neighbours are linked to the smallest of them.
SMALL_STAR = """
    with smallest as (
        select larger as node, min(smaller) as smallest from {edges} group by larger
    )
    select edges.smaller as larger, smallest.smallest as smaller
    from {edges} as edges
    inner join smallest on edges.larger = smallest.node
    where edges.smaller <> smallest.smallest
    union
    select node as larger, smallest as smaller from smallest
"""


def components_by_joins(session: SparkSession, pairs: DataFrame) -> DataFrame:
    """Takes pairs of connected nodes, `node` and `first_node`. Gives every `node` with its `component`: the smallest node in it."""
    current, other = ROUNDS
    edges = pairs.selectExpr("greatest(node, first_node) as larger", "least(node, first_node) as smaller")
    _write(edges.where("larger <> smaller").distinct(), current)
    before, state = None, _state(session, current)
    while state != before:
        for star in (LARGE_STAR, SMALL_STAR):
            _write(session.sql(star.format(edges=current)), other)
            current, other = other, current
        before, state = state, _state(session, current)
    # Then each edge ties a node to the smallest of its component.
    stars = session.table(current).selectExpr("larger as node", "smaller as component")
    nodes = pairs.selectExpr("node").union(pairs.selectExpr("first_node as node")).distinct()
    return nodes.join(stars, "node", "left").selectExpr("node", "coalesce(component, node) as component")


def drop_rounds(session: SparkSession) -> None:
    for table in ROUNDS:
        session.sql(f"drop table if exists {table} purge")


def _write(edges: DataFrame, table: str) -> None:
    edges.writeTo(table).using("iceberg").createOrReplace()


def _state(session: SparkSession, edges: str) -> tuple[int, int]:
    """How many edges there are, and a checksum: the same after a round that changed nothing."""
    query = f"select count(*), coalesce(sum(cast(xxhash64(larger, smaller) as decimal(20, 0))), 0) from {edges}"
    count, checksum = session.sql(query).first()
    return int(count), int(checksum)
