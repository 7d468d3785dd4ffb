"""The list of fits as data: order, names, shared images; and what its lines say."""

from types import SimpleNamespace

import pytest

from noder_viewer import fit_rows, fit_words, variants
from noder_viewer.fit_rows import Asked, LeaveOneOut
from noder_viewer.jobs import FitChoice


def series(n=4):
    return SimpleNamespace(scans=tuple(range(n)), unit="ms")


def rows_of(*statuses, asked=None):
    rows = ()
    for status in statuses:
        row = fit_rows.new_row(rows, asked or Asked(series(), FitChoice()))
        rows = (*rows, fit_rows.replace(row, status=status))
    return rows


def names(rows):
    return [row.name for row in rows]


def test_every_row_has_a_name_and_a_key_of_its_own():
    rows = rows_of("waiting", "waiting", "waiting")
    assert names(rows) == ["NODER balanced", "NODER balanced (2)", "NODER balanced (3)"]
    assert len({row.key for row in rows}) == 3
    assert fit_rows.name_of(Asked(series(), FitChoice("nephi", "fast"), leave_one_out=LeaveOneOut())) == (
        "Leave-one-out, NePhi chain fast"
    )


def test_only_rows_that_wait_are_reordered_and_the_others_keep_their_places():
    rows = rows_of("done", "waiting", "running", "waiting", "waiting")
    first, last = rows[1], rows[4]
    later = fit_rows.moved(rows, first.key, 1)
    assert [row.key for row in later] == [rows[k].key for k in (0, 3, 2, 1, 4)]
    assert fit_rows.next_waiting(later) is rows[3]
    assert fit_rows.moved(rows, first.key, -1) == rows  # it is the first that waits
    assert fit_rows.moved(rows, last.key, 1) == rows
    assert fit_rows.moved(rows, rows[0].key, 1) == rows  # it has run


def test_a_second_fit_takes_over_the_scans_that_the_first_has_aligned():
    raw, aligned = series(), series()
    wish = Asked(raw, FitChoice(align="rigid"))
    done, waiting = rows_of("done", "waiting", asked=wish)
    done = fit_rows.replace(done, result=SimpleNamespace(series=aligned))
    assert fit_rows.with_shared_images(waiting, (done, waiting)).asked.series is aligned
    other = fit_rows.replace(waiting, asked=fit_rows.replace(wish, choice=FitChoice(align="affine")))
    assert fit_rows.with_shared_images(other, (done, other)).asked.series is raw
    without_one = fit_rows.replace(waiting, asked=fit_rows.replace(wish, exclude=frozenset({2})))
    assert fit_rows.with_shared_images(without_one, (done, without_one)).asked.series is raw


def progress(**changes):
    return SimpleNamespace(**{"step": 37, "total": 100, "seconds_left": 41.0, **changes})


@pytest.mark.parametrize(
    ("status", "seconds_left", "words"),
    [
        ("running", 41.0, "37 %, 41 s left"),
        ("paused", 41.0, "paused 37 %, 41 s left"),
        ("running", 300.0, "37 %, 5 min left"),
        ("running", None, "37 %"),
        ("waiting", 41.0, "waiting"),
        ("cancelled", 41.0, "cancelled"),
    ],
)
def test_the_state_in_words(status, seconds_left, words):
    (row,) = rows_of(status)
    assert fit_words.status_words(row, progress(seconds_left=seconds_left)) == words


def test_a_failed_one_tells_its_sentence_and_a_done_one_its_figures():
    (row,) = rows_of("failed")
    assert fit_words.status_words(fit_rows.replace(row, error="It is too dark.")) == "failed: It is too dark."
    report = SimpleNamespace(rows=[{"folds": 0}, {"folds": 3}], folds=3, summary={"neighbours": {"nrmse_mask": 0.094}})
    result = SimpleNamespace(report=report, provenance=SimpleNamespace(seconds=42.3), n_seeds=1)
    done = fit_rows.replace(row, status="done", result=result)
    assert fit_words.status_words(done) == "done, 3 folded voxels, 42 s"
    result.n_seeds = 2
    assert fit_words.status_words(done) == "done, 3 folded voxels, 2 seeds, 42 s"
    assert fit_words.main_score(done) == 0.094
    assert done.is_unsaved
    assert not fit_rows.saved((done,), result, "folder")[0].is_unsaved


def test_worker_processes_cannot_be_paused():
    asked = Asked(series(), FitChoice(), leave_one_out=LeaveOneOut(workers=2))
    assert not fit_rows.new_row((), asked).can_pause
    assert fit_rows.new_row((), Asked(series(), FitChoice(), leave_one_out=LeaveOneOut(workers=1))).can_pause


class TestVariants:
    def test_another_weight_leaves_all_else(self):
        asked = Asked(series(), FitChoice(preset="fast", seed=3), frozenset({2}))
        other = variants.with_weight(asked, 1.5)
        before, after = variants.settings_of(asked.choice), variants.settings_of(other.choice)
        assert after == fit_rows.replace(before, smoothness=1.5)
        assert (other.hold_out, other.choice.seed, other.choice.preset) == ({2}, 3, "fast")
        assert asked.choice.settings is None  # the pattern is as it was
        assert variants.variant_name("NODER fast, smoothness 0.6", 1.5) == "NODER fast, smoothness 1.5"

    def test_another_method_takes_over_what_was_changed_and_no_preset_of_its_own_is_lost(self):
        preset = variants.settings_of(FitChoice(preset="fast"))
        choice = FitChoice(preset="fast", settings=fit_rows.replace(preset, smoothness=2.5, time_steps=8), seeds=3)
        other = variants.by_method(Asked(series(), choice, frozenset({1}), frozenset({3})), "geodesic")
        own = variants.settings_of(FitChoice("geodesic", "fast"))
        assert other.choice.settings == fit_rows.replace(own, smoothness=2.5)  # it knows no steps of an ODE
        assert (other.choice.method, other.choice.preset, other.choice.seeds) == ("geodesic", "fast", 1)
        assert (other.hold_out, other.exclude) == ({1}, {3})

    def test_a_preset_that_the_other_method_lacks_is_its_balanced_one(self):
        other = variants.by_method(Asked(series(), FitChoice(preset="published")), "piecewise")
        assert other.choice.preset == "balanced"

    def test_what_is_in_the_list_is_not_asked_for_again(self):
        asked = Asked(series(), FitChoice("geodesic", "fast"), frozenset({1}))
        (row,) = rows_of("done", asked=asked)
        assert variants.like((row,), asked) is row
        assert variants.like((row,), variants.by_method(Asked(series(), FitChoice(preset="fast"), frozenset({1})),
                                                            "geodesic"))  # fmt: skip
        assert not variants.like((row,), fit_rows.replace(asked, hold_out=frozenset({2})))
        assert not variants.like((fit_rows.replace(row, status="failed"),), asked)
