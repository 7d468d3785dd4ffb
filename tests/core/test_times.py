"""Units, dates and numbers; and each source of times with the traps that it has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from noder.errors import InputError, UsageError
from noder.time_sources import SOURCES, find_times, times_from_file
from noder.times import Given, Timing, as_moment, known_unit, since_first


def files(folder: Path, *names: str) -> list[Given]:
    """Scans by name; no source but the header needs them to hold anything."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return [Given(folder / name, None, k) for k, name in enumerate(names)]


def four_d(folder: Path, n: int = 4, step: float = 0, unit: str = "unknown") -> list[Given]:
    """A 4-D file with a time step in its header."""
    image = nib.Nifti1Image(np.zeros((2, 2, 2, n), np.uint8), np.eye(4))
    image.header.set_xyzt_units("mm", unit)
    image.header["pixdim"][4] = step
    nib.save(image, folder / "four.nii.gz")
    return [Given(folder / "four.nii.gz", k, k) for k in range(n)]


def put(path: Path, content: object) -> Path:
    """Write text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def table(path: Path, *rows: str) -> Path:
    """A TSV from rows with single spaces for tabs."""
    return put(path, "\n".join(row.replace(" ", "\t") for row in rows) + "\n")


def found(scans: Sequence[Given]) -> tuple[list[float], str]:
    """Times and unit of the best source."""
    timing = find_times(scans)
    assert len(timing.sources) == len(scans)
    return [round(t, 6) for t in timing.times], timing.unit


# Units and moments


@pytest.mark.parametrize(("text", "unit"), [("yr", "years"), ("Days", "days"), ("msec", "ms"), (" s ", "s")])
def test_units_have_many_spellings(text: str, unit: str) -> None:
    assert known_unit(text) == unit


def test_an_unknown_unit_is_a_question_of_usage() -> None:
    with pytest.raises(UsageError, match="'fortnights' is not a unit of time"):
        known_unit("fortnights")


def test_units_convert_where_they_measure_and_else_name() -> None:
    days = Timing((0, 365.25), "days", ("", ""))
    assert days.in_unit("years").times == (0, 1)
    assert days.in_unit(None) is days
    assert Timing((0, 2), "index", ("", "")).in_unit("weeks") == Timing((0, 2), "weeks", ("", ""))
    with pytest.raises(UsageError, match="cannot be turned into 'index'"):
        days.in_unit("index")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2012-04-05", datetime(2012, 4, 5)),
        ("20120405", datetime(2012, 4, 5)),
        ("2012-04-05T10:15:00.1234567", datetime(2012, 4, 5, 10, 15, 0, 123456)),
        ("2012-04-05T10:15:00.5", datetime(2012, 4, 5, 10, 15, 0, 500000)),
        ("20120405101500.25", datetime(2012, 4, 5, 10, 15)),
        ("1867-06-15T13:45:30", datetime(1867, 6, 15, 13, 45, 30)),
        ("2012-13-05", None),
        ("soon", None),
        ("", None),
    ],
)
def test_moments_in_iso_and_dicom_spelling(text: str, moment: datetime | None) -> None:
    assert as_moment(text) == moment


def test_moments_become_days_or_within_one_day_seconds() -> None:
    day = datetime(1860, 2, 28)
    assert since_first([datetime(1860, 3, 1), day], ("", "")).times == (2, 0)
    timing = since_first([day, day.replace(hour=1)], ("", ""))
    assert (timing.times, timing.unit) == ((0, 3600), "s")


def test_time_zones_count() -> None:
    zones = [as_moment("2012-04-05T10:00:00+02:00"), as_moment("2012-04-05T10:00:00Z")]
    assert since_first([m for m in zones if m], ("", "")).times == (0, 7200)


# Tables

BIDS = ("sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz", "sub-1/ses-b/anat/sub-1_ses-b_T1w.nii.gz")


def test_sessions_tsv_by_its_dates_before_1925(tmp_path: Path) -> None:
    table(
        tmp_path / "sub-1/sub-1_sessions.tsv",
        "session_id acq_time age",
        "ses-b 1867-07-15T08:00:00 31",
        "ses-a 1867-06-15T08:00:00 30",
    )
    scans = files(tmp_path, *BIDS)
    assert found(scans) == ([0, 30], "days")
    assert find_times(scans).sources[0] == "sub-1_sessions.tsv, column acq_time"


def test_scans_tsv_of_each_session_come_before_sessions_tsv(tmp_path: Path) -> None:
    scans = files(tmp_path, *BIDS)
    table(tmp_path / "sub-1/sub-1_sessions.tsv", "session_id acq_time", "ses-a 2000-01-01", "ses-b 2000-01-03")
    for label, date in (("a", "2000-01-01"), ("b", "2000-02-01")):
        name = f"anat/sub-1_ses-{label}_T1w.nii.gz"
        table(tmp_path / f"sub-1/ses-{label}/sub-1_ses-{label}_scans.tsv", "filename acq_time", f"{name} {date}")
    assert found(scans) == ([0, 31], "days")


def test_a_table_that_misses_one_scan_is_not_mixed_with_another_source(tmp_path: Path) -> None:
    scans = files(tmp_path, *BIDS)
    table(
        tmp_path / "sub-1/ses-a/sub-1_ses-a_scans.tsv",
        "filename acq_time",
        "anat/sub-1_ses-a_T1w.nii.gz 2000-01-01",
    )
    table(tmp_path / "sub-1/sub-1_sessions.tsv", "session_id acq_time age", "a n/a 31.5", "b 2001-01-01 33")
    assert found(scans) == ([31.5, 33], "years")
    assert set(find_times(scans).sources) == {"sub-1_sessions.tsv, column age"}


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ("days_since_baseline", "days"),
        ("age_months", "months"),
        ("age", "years"),
        ("session_age", "years"),
        ("Age", "years"),
    ],
)
def test_columns_of_ages_and_days(tmp_path: Path, column: str, unit: str) -> None:
    table(tmp_path / "sub-1/sub-1_sessions.tsv", f"session_id {column}", "ses-a 10", "ses-b 12.5")
    assert found(files(tmp_path, *BIDS)) == ([10, 12.5], unit)


def test_units_in_the_tables_json(tmp_path: Path) -> None:
    table(tmp_path / "sub-1/sub-1_sessions.tsv", "session_id age", "ses-a 10", "ses-b 12")
    put(tmp_path / "sub-1/sub-1_sessions.json", {"age": {"Units": "month"}})
    assert found(files(tmp_path, *BIDS)) == ([10, 12], "months")


@pytest.mark.parametrize("value", ["89+", "soon"])
def test_a_cell_that_does_not_parse_names_the_table_and_the_value(tmp_path: Path, value: str) -> None:
    table(tmp_path / "sub-1/sub-1_sessions.tsv", "session_id age", "ses-a 10", f"ses-b {value}")
    with pytest.raises(InputError, match=r"sub-1_sessions\.tsv, column age: '(89\+|soon)' is not a time"):
        find_times(files(tmp_path, *BIDS))


def test_a_table_beside_plain_files(tmp_path: Path) -> None:
    table(tmp_path / "scans.tsv", "filename days", "a.nii.gz 0", "b.nii.gz 203")
    assert found(files(tmp_path, "b.nii.gz", "a.nii.gz")) == ([203, 0], "days")


# Sidecars


def test_our_own_sidecar_of_a_series_beats_its_header(tmp_path: Path) -> None:
    scans = four_d(tmp_path, 3, step=2, unit="sec")
    put(tmp_path / "four.json", {"TimeUnit": "years", "FrameTimes": [0, 1.2, 5]})
    assert found(scans) == ([0, 1.2, 5], "years")
    assert found(scans[1:]) == ([1.2, 5], "years")


@pytest.mark.parametrize("content", [{"FrameTimes": [0, 1]}, {"FrameTimes": [0, 1, "x"]}, '{"FrameTimes": [0,'])
def test_a_wrong_sidecar_is_named(tmp_path: Path, content: object) -> None:
    put(tmp_path / "four.json", content)
    with pytest.raises(InputError, match=r"four\.json"):
        find_times(four_d(tmp_path, 3))


def test_an_unknown_unit_in_a_sidecar_is_named(tmp_path: Path) -> None:
    put(tmp_path / "four.json", {"TimeUnit": "moons", "FrameTimes": [0, 1, 2]})
    with pytest.raises(InputError, match=r"four\.json: TimeUnit 'moons'"):
        find_times(four_d(tmp_path, 3))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            {"AcquisitionDateTime": "2012-04-05T10:00:00.000000"},
            {"AcquisitionDateTime": "2012-04-07T10:00:00.00"},
        ),
        (
            {"AcquisitionDate": "20120405", "AcquisitionTime": "10:00:00"},
            {"AcquisitionDate": "2012-04-07", "AcquisitionTime": "100000.0"},
        ),
    ],
)
def test_dates_in_sidecars(tmp_path: Path, first: object, second: object) -> None:
    put(tmp_path / "a.json", first)
    put(tmp_path / "b.json", second)
    assert found(files(tmp_path, "a.nii.gz", "b.nii")) == ([0, 2], "days")


def test_sidecars_that_miss_one_scan_give_way_to_names(tmp_path: Path) -> None:
    put(tmp_path / "2012-04-05.json", {"AcquisitionDateTime": "1999-01-01T10:00:00"})
    put(tmp_path / "2012-04-08.json", {"Manufacturer": "any"})
    assert found(files(tmp_path, "2012-04-05.nii", "2012-04-08.nii")) == ([0, 3], "days")


def test_a_time_of_day_orders_one_session_only(tmp_path: Path) -> None:
    for name, clock in (
        ("a", "10:00:00.5"),
        ("b", "10:01:00.5"),
        ("ses-1", "10:00:00"),
        ("ses-2", "09:00:00"),
    ):
        put(tmp_path / f"{name}.json", {"AcquisitionTime": clock})
    assert found(files(tmp_path, "a.nii", "b.nii")) == ([0, 60], "s")
    assert found(files(tmp_path, "ses-1.nii", "ses-2.nii")) == ([1, 2], "index")


# Names


@pytest.mark.parametrize(
    ("names", "times", "unit"),
    [
        (("t1_2012-04-05.nii", "t1_2013-04-05.nii"), [0, 365], "days"),
        (("20120405.nii", "20120301.nii.gz"), [35, 0], "days"),
        (("2012_04_05_T1.nii", "2012_04_06_T1.nii"), [0, 1], "days"),
        (("x_20120405_101500.nii", "x_20120405_101630.nii"), [0, 90], "s"),
        (("2012-04-05/scan.nii", "2012-04-15/scan.nii"), [0, 10], "days"),
        (("20200101_export_2012-04-05.nii", "20200101_export_2012-04-06.nii"), [0, 1], "days"),
        (("sub-1/ses-M00/anat/T1w.nii", "sub-1/ses-M12/anat/T1w.nii"), [0, 12], "months"),
        (("sub_m06.nii", "sub_m00.nii", "sub_m24.nii"), [6, 0, 24], "months"),
        (("bl.nii", "m06.nii", "y2.nii"), [0, 6, 24], "months"),
        (("p_baseline.nii", "p_3years.nii"), [0, 3], "years"),
        (("a_week2.nii", "a_day3.nii"), [14, 3], "days"),
        (("visit_0.0y.nii", "visit_0.6y.nii", "visit_2.5y.nii"), [0, 0.6, 2.5], "years"),  # not 0, 6 and 5 years
        (("M0.5.nii", "M12.nii"), [0.5, 12], "months"),
        (("v1.2.3y.nii", "v1.2.4y.nii"), [0, 1], "index"),  # a version: says nothing of time
        (("p01_visit1.nii", "p01_visit3.nii"), [1, 3], "index"),
        (("p1_study1_T1W.nii", "p1_study2_T1W.nii"), [1, 2], "index"),
        (("sub-1_ses-01_T1w.nii", "sub-1_ses-04_T1w.nii"), [1, 4], "index"),
        (("frame_009.nii", "frame_010.nii"), [9, 10], "index"),
        (("b.nii", "a.nii"), [0, 1], "index"),
        (("T1.nii", "T2.nii"), [0, 1], "index"),
        (("12345678.nii", "87654321.nii"), [0, 1], "index"),
        (("visit1_scan2.nii", "visit2_scan1.nii"), [0, 1], "index"),
        (("2012-04-05.nii", "later.nii"), [0, 1], "index"),
        (("m06_day3.nii", "m12_week1.nii"), [0, 1], "index"),
    ],
)
def test_names(tmp_path: Path, names: tuple[str, ...], times: list[float], unit: str) -> None:
    assert found(files(tmp_path, *names)) == (times, unit)


def test_one_date_for_all_tells_nothing_and_says_so(tmp_path: Path) -> None:
    timing = find_times(files(tmp_path, "20240101_a.nii", "20240101_b.nii"))
    assert timing.unit == "index"
    assert timing.notes == ("every file name carries the date 2024-01-01, which tells no scans apart",)


def test_dates_of_some_files_equal_are_kept_for_the_series_to_refuse(tmp_path: Path) -> None:
    assert found(files(tmp_path, "a_20240101.nii", "b_20240101.nii", "c_20240102.nii"))[0] == [0, 0, 1]


# Headers


def test_the_headers_step_counts_from_the_first_volume_given(tmp_path: Path) -> None:
    scans = four_d(tmp_path, 4, step=31.58, unit="msec")
    assert found(scans[2:]) == ([63.16, 94.74], "ms")
    assert "31.58 ms" in find_times(scans).sources[0]


def test_a_step_without_unit_or_of_half_an_hour_is_doubted(tmp_path: Path) -> None:
    assert found(four_d(tmp_path, 2, step=2.5)) == ([0, 2.5], "unspecified")
    assert "without a unit" in find_times(four_d(tmp_path, 2, step=2.5)).notes[0]
    assert "may be meant in ms" in find_times(four_d(tmp_path, 2, step=2000, unit="sec")).notes[0]


def test_without_a_step_volumes_are_counted(tmp_path: Path) -> None:
    assert found(four_d(tmp_path, 3)) == ([0, 1, 2], "index")


def test_a_date_in_the_name_of_a_series_is_no_time_of_its_volumes(tmp_path: Path) -> None:
    (tmp_path / "20240101").mkdir()
    assert find_times(four_d(tmp_path / "20240101", 2)).notes == ()


def test_every_source_answers_for_all_or_none(tmp_path: Path) -> None:
    scans = files(tmp_path, "2012-04-05.nii", "x.nii")
    assert [name for name, source in SOURCES.items() if source(scans) is not None] == ["order"]


# Files that the user names


@pytest.mark.parametrize(
    "text",
    ["0\n1.5\n4\n", "0, 1.5, 4", "0 1.5 4", "# days\n0\n1.5 # second\n\n4", "\ufeff0;1.5;4"],
)
def test_numbers_in_a_file(tmp_path: Path, text: str) -> None:
    timing = times_from_file(put(tmp_path / "t.txt", text), 3, files(tmp_path, "a.nii", "b.nii", "c.nii"))
    assert (timing.times, timing.unit) == ((0, 1.5, 4), "unspecified")


def test_numbers_for_all_that_was_given_serve_the_kept_ones(tmp_path: Path) -> None:
    scans = files(tmp_path, "a.nii", "b.nii", "c.nii", "d.nii")
    path = put(tmp_path / "t.txt", "10 41 73 104")
    assert times_from_file(path, 4, scans[1:3]).times == (41, 73)
    with pytest.raises(InputError, match=r"t\.txt: 4 times for 3 scans \(kept of 9\)"):
        times_from_file(path, 9, scans[:3])


@pytest.mark.parametrize(
    ("rows", "times", "unit"),
    [
        (("filename time_ms", "b.nii 20", "a.nii 10"), (10, 20), "ms"),
        (("name time", "a 10", "b 20"), (10, 20), "unspecified"),
        (("time", "10", "20"), (10, 20), "unspecified"),
        (("visit years", "1 0", "2 1.5"), (0, 1.5), "years"),
        (("file scan_date", "a.nii 2012-04-05", "b.nii 2012-04-09"), (0, 4), "days"),
        (("file time", "a.nii 20120405", "b.nii 20120409"), (0, 4), "days"),
        (("file note days_from_start", "a.nii x 0", "b.nii y 203"), (0, 203), "days"),
    ],
)
@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_tables_that_the_user_names(
    tmp_path: Path, rows: tuple[str, ...], times: tuple[float, ...], unit: str, separator: str
) -> None:
    path = put(tmp_path / "t.csv", "\n".join(row.replace(" ", separator) for row in rows))
    timing = times_from_file(path, 2, files(tmp_path, "a.nii", "b.nii"))
    assert (timing.times, timing.unit) == (times, unit)


def test_a_sidecar_that_the_user_names(tmp_path: Path) -> None:
    path = put(tmp_path / "t.json", {"TimeUnit": "years", "FrameTimes": [0, 2]})
    assert times_from_file(path, 2, files(tmp_path, "a.nii", "b.nii")).unit == "years"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.txt", "0 soon", "t.txt"),
        ("t.txt", "", "t.txt"),
        ("t.txt", "0 nan", "'nan' is not a time"),
        ("t.tsv", "filename\ttime\na.nii\t0", "no row for .*b.nii"),
        ("t.tsv", "filename\tcolour\na.nii\t0\nb.nii\t1", "no column with a time"),
        ("t.tsv", "filename\ttime\na.nii\t0\nb.nii\tsoon", "'soon' is not a time"),
        ("t.tsv", "filename\ttime\na.nii\t2012-04-05\nb.nii\t2012-99-99", "'2012-99-99' is not a date"),
        ("t.json", {"a": 1}, "t.json has no times"),
        ("t.json", "{", "not valid JSON"),
    ],
)
def test_what_is_wrong_with_a_file_of_times_is_said(tmp_path: Path, name: str, content: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        times_from_file(put(tmp_path / name, content), 2, files(tmp_path, "a.nii", "b.nii"))


def test_a_file_of_times_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt cannot be read"):
        times_from_file(tmp_path / "none.txt", 1, files(tmp_path, "a.nii"))
