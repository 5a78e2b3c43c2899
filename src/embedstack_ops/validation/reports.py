"""Validation reports as JSON and as JUnit XML for CI systems."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from embedstack_ops.validation.findings import Report

__all__ = ["to_json", "to_junit"]


def to_json(report: "Report") -> str:
    """The report as a JSON object with ``passed`` and one object per check."""
    return json.dumps({**asdict(report), "passed": report.passed}, indent=2, ensure_ascii=False)


def to_junit(report: "Report") -> str:
    """The report as one JUnit test suite."""
    suite = ET.Element(
        "testsuite",
        name=f"test-endpoint {report.endpoint}",
        tests=str(len(report.checks)),
        failures=str(report.count("failed")),
        skipped=str(report.count("skipped")),
        time=f"{sum(check.seconds for check in report.checks):.3f}",
    )
    for check in report.checks:
        case = ET.SubElement(suite, "testcase", classname=report.endpoint, name=check.name, time=f"{check.seconds:.3f}")
        if check.status == "failed":
            ET.SubElement(case, "failure", message=f"{check.figure} (expected {check.target or 'a response'})")
        elif check.status == "skipped":
            ET.SubElement(case, "skipped", message=check.figure)
        else:
            ET.SubElement(case, "system-out").text = f"{check.figure} {check.target}".strip()
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)
