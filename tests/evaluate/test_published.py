"""The published rows: the orderings that the paper claims are in them, and every table has what it is known for."""

from kmm_core.evaluate.published import ROWS, published_rows


def test_figures_are_in_their_ranges():
    assert len({(row.benchmark, row.method) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.fid is not None and row.fid >= 0
        assert row.r_precision_3 is None or 0 < row.r_precision_3 < 1


def test_the_papers_claims_are_what_its_tables_say():
    babel, directional = ({row.method: row for row in published_rows(name)} for name in ("babel", "babel-d"))
    assert babel["KMM"].fid < babel["KMM, random masking"].fid < babel["FlowMDM"].fid
    assert directional["KMM"].fid < directional["KMM, no alignment"].fid
    assert directional["KMM"].r_precision_3 > directional["KMM, no alignment"].r_precision_3
    assert babel["real motion"].r_precision_3 == max(row.r_precision_3 for row in babel.values())


def test_tables():
    assert [row.method for row in published_rows("humanml3d")] == ["MMM", "Motion Mamba", "MoMask"]
    assert [published_rows(name)[0].method for name in ("babel", "babel-d")] == ["real motion"] * 2
