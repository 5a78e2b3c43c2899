"""Error responses of a service."""

from flask import Flask

from localaws.gateway.error_responses import protect


def test_missing_package_is_named_and_not_retried() -> None:
    app = Flask("events")

    @app.post("/")
    def handle() -> str:
        raise ModuleNotFoundError("No module named 'jsonpath_ng'", name="jsonpath_ng")

    protect(app, "events", routed_by_path=False)
    response = app.test_client().post("/")
    assert response.status_code == 501
    assert "without the package jsonpath_ng (install localaws[all-services])" in response.get_data(as_text=True)
