"""A realistic report and an empty one."""

from __future__ import annotations

import pytest
from report_data import make_empty_report, make_full_report, make_large_report

from hypoxia_hpc.reports.data import ReportData
from hypoxia_hpc.reports.page import report_files


@pytest.fixture(scope="session")
def full_report() -> ReportData:
    return make_full_report()


@pytest.fixture(scope="session")
def full_files(full_report: ReportData) -> dict[str, bytes]:
    return report_files(full_report)


@pytest.fixture(scope="session")
def large_files() -> dict[str, bytes]:
    return report_files(make_large_report())


@pytest.fixture(scope="session")
def empty_report() -> ReportData:
    return make_empty_report()
