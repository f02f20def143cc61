"""One row per node, that is, per identifier that several identities carry, with its connected component (R13).

The numbers of nodes and components mean nothing outside one build.
"""

import numpy
import pyarrow
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def components(ties: pyarrow.Table) -> pyarrow.Table:
    """Takes what `int_identity_ties` says. The numbers of nodes needn't be without gaps."""
    nodes, positions = numpy.unique(array_of(ties.column("node")), return_inverse=True)
    first_positions = numpy.searchsorted(nodes, array_of(ties.column("first_node")))
    weights = numpy.ones(len(positions), dtype=numpy.int8)
    graph = coo_matrix((weights, (first_positions, positions)), shape=(len(nodes), len(nodes)))
    _, found = connected_components(graph, directed=False)
    return pyarrow.table({"node": integers(nodes), "component": integers(found)})


def model(dbt, session):
    return {"rows": dbt.ref("int_identity_ties"), "all_at_once": components, "is_of_graph": True}


def array_of(column: pyarrow.ChunkedArray) -> numpy.ndarray:
    """The numbers of a column without nulls. `to_numpy` would import pandas."""
    return numpy.from_dlpack(column.combine_chunks())


def integers(values: numpy.ndarray) -> pyarrow.Array:
    """An Arrow array of whole numbers. `pyarrow.array` would import pandas, which takes longer than this model in a small build."""
    return pyarrow.Array.from_buffers(
        pyarrow.int64(), len(values), [None, pyarrow.py_buffer(values.astype(numpy.int64))]
    )
