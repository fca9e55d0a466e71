"""The dialect is what drf-spectacular itself makes of the site, in this run, whatever the paths are."""

from __future__ import annotations

import json

import pytest

import wire
from bench import Bench
from services import Pair, export, run_binary, start_binary, toml
from sites import SITES

pytestmark = [
    pytest.mark.usefixtures("binary"),
    pytest.mark.newest_only,
    pytest.mark.parametrize("kind", ["sqlite"]),
]


@pytest.mark.parametrize("site", ["plain", "other-paths", "prefix", "basic-token", "token-session"])
@pytest.mark.parametrize("form", ["yaml", "json"])
def test_the_dialect_is_spectaculars_own_document(
    bench: Bench, pair: Pair, kind: str, site: str, form: str
) -> None:
    url = bench.empty_url(kind)
    django = {"yaml": "openapi", "json": "openapi-json"}[form]
    told = pair.run(
        "spectacular",
        "--format",
        django,
        "--fail-on-warn",
        "--urlconf",
        "project.seed",
        url=url,
        SITE_SETTINGS=json.dumps(SITES[site]),
    )
    assert told.returncode == 0, told.stderr
    file = bench.folder / f"{bench.name('settings')}.toml"
    is_told = "REST_FRAMEWORK" in SITES[site]
    file.write_text(export(pair, url, SITES[site]).stdout if is_told else toml(SITES[site]))
    ours = run_binary(
        "openapi", "--dialect", "drf-spectacular", "--format", form, "--settings", file, url=url
    )
    assert ours.returncode == 0, ours.stderr
    if form == "yaml":
        assert ours.stdout.rstrip() == told.stdout.rstrip()
    else:
        assert json.loads(ours.stdout) == json.loads(told.stdout)
    assert SITES[site].get("SECRET_PATH", "/secret/") in told.stdout


def test_the_paths_of_the_settings_are_served(bench: Bench, pair: Pair, kind: str) -> None:
    url = bench.migrated_url(pair, kind)
    with start_binary(pair, url, SITES["other-paths"], bench.log("ours")) as service:
        document = json.loads(wire.simple(service.address, "GET", "/api/docs/?format=json").body)
        for path, item in document["paths"].items():
            for method in item:
                assert wire.simple(service.address, method.upper(), path).status in (200, 400, 401)
    assert set(document["paths"]) == {"/api/v1/log-in/", "/api/v1/me/", "/api/docs/"}
    assert document["paths"]["/api/v1/me/"]["get"]["operationId"] == "me_retrieve"
