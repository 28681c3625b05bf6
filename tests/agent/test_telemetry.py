"""Traces that reach a collector: one for each run, under the run's own id."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runner.agent.telemetry import Metrics, Tracing
from tests.agent.mesh import Mesh


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """A collector for OTLP over HTTP, and the spans that it got."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
            spans.extend(
                span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
    finally:
        server.shutdown()
        server.server_close()


def test_a_runs_trace_has_the_runs_id_and_a_span_for_each_step_and_no_secret(mesh: Mesh) -> None:
    run = mesh.stack.enqueue(
        definition=mesh.terraform(), inputs=[{"key": "region", "value": "a-secret-value", "isSensitive": True}]
    )
    with collector() as (address, spans):
        process = mesh.start("--once", OTEL_EXPORTER_OTLP_ENDPOINT=address)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert {span.trace_id.hex() for span in spans} == {uuid.UUID(run).hex}
    assert {"building block run", "sources", "init_tf", "execute_tf", "output"} <= {span.name for span in spans}
    assert "a-secret-value" not in str(spans)


def test_without_a_collector_nothing_is_traced_and_nothing_loaded() -> None:
    tracing = Tracing({})
    with tracing.run("r"), tracing.step("s"):
        pass
    tracing.close()


def test_numbers_are_told_in_prometheus_text() -> None:
    metrics = Metrics()
    with metrics.timed("TERRAFORM", "plan"):
        metrics.failures.labels("engine-missing").inc()
    text = metrics.text().decode()
    assert 'lzr_agent_failures_total{code="engine-missing"} 1.0' in text
    assert 'lzr_agent_step_seconds_count{kind="TERRAFORM",step="plan"} 1.0' in text
