"""Trees of arguments: cut and copied, or refused in words."""

import pytest
import torch

from unbug.record.kept_tree import NotKept, copied, first_rows


def test_only_what_has_all_rows_is_cut():
    given = ((torch.arange(6.0), torch.ones(3, 2)), {"scale": torch.tensor(2.0), "names": ["a"]})
    (long, other), more = first_rows(given, 4, 6)
    assert long.tolist() == [0, 1, 2, 3] and other.shape == (3, 2)
    assert more["scale"].item() == 2 and more["names"] == ["a"]


def test_a_sparse_graph_is_refused_not_cut():
    """Its rows cannot be sliced: torch has no such operation for its layout."""
    graph = torch.eye(50).to_sparse()
    for call in (lambda: first_rows((torch.randn(50, 3), graph), 10, 50), lambda: copied((graph,))):
        with pytest.raises(NotKept, match="not dense"):
            call()
    assert first_rows((torch.ones(60), graph), 10, 60)[1] is graph, "of another length: left as it is"
