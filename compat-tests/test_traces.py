"""OpenTelemetry: a build with the Cargo feature sends a span of each request, and no word of the client.

The collector is a listener here: what it takes is read by OpenTelemetry's own messages.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

import services
from bench import Bench
from clients import ALICE, KEY, SECRET, ask, login_bytes
from databases import User
from services import PROJECT, Pair, run_binary, start_binary

pytestmark = [pytest.mark.usefixtures("binary"), pytest.mark.newest_only]
SQLITE = pytest.mark.parametrize("kind", ["sqlite"])

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRUSTED = {"PBKDF2_ITERATIONS": 1000, "OPENTELEMETRY": True, "TRUSTED_PROXIES": ["127.0.0.0/8"]}
STRANGER = TRUSTED | {"TRUSTED_PROXIES": []}


@pytest.fixture(scope="module")
def traced() -> Path:
    """The program with the feature; without optimisation, as nothing here is about speed."""
    argv = ["cargo", "build", "--quiet", "--locked", "--features", "opentelemetry"]
    subprocess.run(argv, cwd=PROJECT, check=True, timeout=900)
    return PROJECT / "target/debug/drf-authtoken"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        """As `OTEL_EXPORTER_OTLP_ENDPOINT` names it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def groups(self) -> list[ResourceSpans]:
        """All that came, by the process it came from."""
        return [
            group
            for body in self.bodies
            for group in ExportTraceServiceRequest.FromString(body).resource_spans
        ]

    def spans(self) -> list[Span]:
        """All that came."""
        return [span for group in self.groups() for scope in group.scope_spans for span in scope.spans]


class Receiver(BaseHTTPRequestHandler):
    """Of one POST."""

    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector
        collector.shutdown()


def told(span: Span) -> dict[str, object]:
    """The attributes, without their types."""
    return {a.key: getattr(a.value, a.value.WhichOneof("value") or "") for a in span.attributes}


def parent(trace: str = TRACE, sampled: bool = True) -> bytes:
    return f"traceparent: 00-{trace}-{PARENT}-0{int(sampled)}\r\ntracestate: k=canary\r\n".encode()


@SQLITE
def test_each_request_is_a_span_of_its_proxys_trace(
    bench: Bench, pair: Pair, kind: str, traced: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its view, status and reason; `traceparent` decides whether it is sent. No word of the client is."""
    monkeypatch.setattr(services, "BINARY", traced)
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        url, end = database.url, collector.endpoint
        with start_binary(
            pair, url, TRUSTED, bench.log("ours"), OTEL_EXPORTER_OTLP_ENDPOINT=end, OTEL_SERVICE_NAME="tokens"
        ) as service:
            ask(service, SECRET[:-2] + parent() + b"\r\n")
            ask(service, SECRET[:-2] + parent("5" * 32, sampled=False) + b"\r\n")
            ask(service, SECRET.replace(b"GET /secret/", b"EVIL /canary-path/")[:-2] + parent() + b"\r\n")
            ask(
                service,
                login_bytes(User("alice", "canary-wrong", ""), f"traceparent: 00-{TRACE}-{PARENT}-01"),
            )
            assert service.stop() == 0
    spans = {span.name: span for span in collector.spans()}
    assert sorted(spans) == ["GET Secret", "POST Obtain Auth Token", "other none"]
    assert len(collector.spans()) == 3
    for span in spans.values():
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (
            TRACE,
            PARENT,
            Span.SPAN_KIND_SERVER,
        )
        assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60 * 10**9
    view, status, reason = "drf_authtoken.view", "http.response.status_code", "drf_authtoken.reason"
    assert told(spans["GET Secret"]) == {"http.request.method": "GET", status: 200, view: "Secret"}
    method = {"http.request.method": "_OTHER"}
    assert told(spans["other none"]) == method | {status: 404, view: "none"}
    method = {"http.request.method": "POST"}
    refused = method | {status: 400, view: "Obtain Auth Token", reason: "invalid"}
    assert told(spans["POST Obtain Auth Token"]) == refused
    (resource,) = {group.resource.SerializeToString() for group in collector.groups()}
    assert b"service.name" in resource and b"tokens" in resource
    sent = b"".join(collector.bodies)
    for secret in (KEY.encode(), b"canary", b"alice"):
        assert secret not in sent


@SQLITE
def test_a_stranger_names_no_trace_and_a_dead_collector_stops_nothing(
    bench: Bench, pair: Pair, kind: str, traced: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "BINARY", traced)
    with closing(bench.database(pair, kind)) as database:
        database.reset([ALICE])
        for endpoint in (collector.endpoint, "http://127.0.0.1:1"):
            url, log = database.url, bench.log("ours")
            with start_binary(pair, url, STRANGER, log, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as service:
                assert ask(service, SECRET[:-2] + parent(sampled=False) + b"\r\n").answer.status == 200
                assert service.stop() == 0
    (span,) = collector.spans()
    assert (span.trace_id.hex() == TRACE, span.parent_span_id) == (False, b"")
    assert span.status.code == Status.STATUS_CODE_UNSET
    (resource,) = {group.resource.SerializeToString() for group in collector.groups()}
    assert b"drf-authtoken" in resource


@SQLITE
def test_a_build_without_it_says_so(bench: Bench, pair: Pair, kind: str) -> None:
    with closing(bench.database(pair, kind)) as database:
        done = run_binary("check", url=database.url, OPENTELEMETRY="true")
    assert done.returncode == 2
    assert "OPENTELEMETRY" in done.stderr and "--features opentelemetry" in done.stderr
