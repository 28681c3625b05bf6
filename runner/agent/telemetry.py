"""What the agent tells about itself: numbers for Prometheus, and traces by OpenTelemetry where a collector is named.

A run's trace has the run's own id, so who knows the run finds the trace. Traces need the extra `telemetry` and
`OTEL_EXPORTER_OTLP_ENDPOINT`; without the variable nothing of it is loaded.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_BUCKETS = (0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600)


class Metrics:
    """Counters of one agent."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.claims = Counter("lzr_agent_claims", "Claims by result", ["result"], registry=self._registry)
        self.runs = Counter("lzr_agent_runs", "Ended runs", ["kind", "behavior", "status"], registry=self._registry)
        self.failures = Counter("lzr_agent_failures", "Failed runs by code", ["code"], registry=self._registry)
        self.reports = Counter(
            "lzr_agent_reports", "Reports by whether they were taken", ["taken"], registry=self._registry
        )
        self.working = Gauge("lzr_agent_working", "Runs at work", registry=self._registry)
        self.claimed = Gauge(
            "lzr_agent_last_claim_seconds", "When meshStack last answered a claim", registry=self._registry
        )
        self._seconds = Histogram(
            "lzr_agent_step_seconds", "Duration of steps", ["kind", "step"], buckets=_BUCKETS, registry=self._registry
        )

    @contextmanager
    def timed(self, kind: str, step: str) -> Iterator[None]:
        """Measure a step."""
        started = monotonic()
        try:
            yield
        finally:
            self._seconds.labels(kind, step).observe(monotonic() - started)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)


class Tracing:
    """Traces of runs; does nothing where no collector is named."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._tracer: Any = _tracer() if environment.get(ENDPOINT) else None

    @contextmanager
    def run(self, run: str) -> Iterator[None]:
        """The span of a whole run; its trace has the run's id."""
        if self._tracer is None:
            yield
            return
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        origin = SpanContext(_number(run), 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        with self._tracer.start_as_current_span(
            "building block run",
            context=set_span_in_context(NonRecordingSpan(origin)),
            attributes={"meshstack.run.id": run},
            record_exception=False,  # its words may hold anything
        ):
            yield

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """The span of a step of the run that goes on in this thread."""
        if self._tracer is None:
            yield
            return
        with self._tracer.start_as_current_span(name, record_exception=False):
            yield

    def close(self) -> None:
        """Hand over what was not sent yet."""
        if self._tracer is not None:
            from opentelemetry import trace

            provider: Any = trace.get_tracer_provider()
            provider.shutdown()


def _tracer() -> Any:
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        from runner.errors import InputError

        raise InputError(
            "Tracing is not installed",
            code="telemetry-not-installed",
            detail=f"{ENDPOINT} is set, and the packages that send traces are missing.",
            hint="pip install 'landing-zone-runner[telemetry]', or unset the variable.",
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "landing-zone-runner"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return trace.get_tracer("runner.agent")


def _number(run: str) -> int:
    """A run's id as the id of a trace; one that is no UUID gives the same number each time."""
    try:
        return uuid.UUID(run).int or 1
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_URL, run).int
