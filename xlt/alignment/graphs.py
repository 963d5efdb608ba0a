"""Knowledge graphs as matrices and tensors: both graphs of a pair numbered together, the adjacency of a graph convolution, triples with swapped entities.

Not: what is learned from them (`xlt.alignment.graph_convolution`, `xlt.alignment.translation`).
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse
import torch

from xlt.types import KnowledgeGraph

Graphs = tuple[KnowledgeGraph, KnowledgeGraph]


def union(graphs: Graphs) -> tuple[np.ndarray, int, int]:
    """(triples_T3 of both graphs, N entities, R relations): the second's entities are numbered after the first's; relations of the same name are the same."""
    source, target = graphs
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*source.relations, *target.relations]))}
    parts = []
    for graph, shift in ((source, 0), (target, len(source))):
        own_R = np.array([numbers[name] for name in graph.relations], np.int64)
        head_T, relation_T, tail_T = graph.triples_T3.T
        parts.append(np.stack([head_T + shift, own_R[relation_T], tail_T + shift], 1))
    return np.concatenate(parts), len(source) + len(target), len(numbers)


def functionality(triples_T3: np.ndarray, relations: int) -> tuple[np.ndarray, np.ndarray]:
    """(fun_R, ifun_R): of each relation the number of different heads, or tails, over that of its triples. Wang et al. 2018, equations 4 and 5."""
    count_R = np.bincount(triples_T3[:, 1], minlength=relations).clip(1)
    heads = np.unique(triples_T3[:, [1, 0]], axis=0)[:, 0]
    tails = np.unique(triples_T3[:, [1, 2]], axis=0)[:, 0]
    return np.bincount(heads, minlength=relations) / count_R, np.bincount(tails, minlength=relations) / count_R


def adjacency(triples_T3: np.ndarray, entities: int, relations: int, least: float) -> scipy.sparse.csr_matrix:
    """A_NN, normalised: what entity i takes from j is the sum of ifun(r) over triples (i, r, j) and of fun(r) over (j, r, i), each at least `least`.

    Wang et al. 2018, equation 6, with themselves (A + I) and D^-1/2 on both sides, D as in the released code the mass that each entity gives.
    """
    fun_R, ifun_R = (np.maximum(share_R, least) for share_R in functionality(triples_T3, relations))
    head_T, relation_T, tail_T = triples_T3[triples_T3[:, 0] != triples_T3[:, 2]].T
    rows, columns = np.concatenate([head_T, tail_T]), np.concatenate([tail_T, head_T])
    weights = np.concatenate([ifun_R[relation_T], fun_R[relation_T]])
    a_NN = scipy.sparse.coo_matrix((weights, (rows, columns)), (entities, entities)) + scipy.sparse.identity(entities)
    scale_NN = scipy.sparse.diags(np.asarray(a_NN.sum(0)).ravel() ** -0.5)
    return (scale_NN @ a_NN @ scale_NN).tocsr()


def sparse(matrix_NN: scipy.sparse.csr_matrix, device: torch.device) -> torch.Tensor:
    """float32, compressed rows."""
    matrix_NN = matrix_NN.tocsr()
    matrix_NN.sort_indices()
    parts = (matrix_NN.indptr.astype(np.int64), matrix_NN.indices.astype(np.int64), matrix_NN.data.astype(np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), matrix_NN.shape, check_invariants=True).to(device)


def swapped(triples_T3: np.ndarray, links_P2: np.ndarray, entities: int) -> np.ndarray:
    """Triples of linked entities with their partners in their place, heads then tails; those that are there already are left out. Sun et al. 2018, section 3.2."""
    partner_N = np.full(entities, -1)
    partner_N[links_P2[:, 0]], partner_N[links_P2[:, 1]] = links_P2[:, 1], links_P2[:, 0]
    made = []
    for column in (0, 2):
        chosen_S3 = triples_T3[partner_N[triples_T3[:, column]] >= 0].copy()
        chosen_S3[:, column] = partner_N[chosen_S3[:, column]]
        made.append(chosen_S3)
    return np.unique(np.concatenate(made), axis=0)
