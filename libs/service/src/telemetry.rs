//! Telemetry: logs, traces and metrics, for every process the same.

use std::{collections::HashMap, io::IsTerminal as _, time::Duration};

use opentelemetry::{
    Context, KeyValue, global,
    metrics::{Counter, Gauge, Histogram},
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource, metrics::SdkMeterProvider, propagation::TraceContextPropagator,
    trace::SdkTracerProvider,
};
use prometheus::{Encoder as _, Registry, TextEncoder};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{LogFormat, Settings};

/// A process's telemetry. Kept until the end, and then shut down, so that nothing is lost.
pub struct Telemetry {
    tracer: SdkTracerProvider,
    meter: SdkMeterProvider,
    registry: Registry,
}

impl Telemetry {
    /// Sets up logs on standard error, traces and metrics. Traces have identifiers even when no
    /// collector is configured, so that log lines of one story can be found together.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let name = settings.role.name();
        let service = if name == "usher" { name.to_owned() } else { format!("usher-{name}") };
        let resource = Resource::builder().with_service_name(service).build();

        let mut tracer = SdkTracerProvider::builder().with_resource(resource.clone());
        if let Some(endpoint) = &settings.otlp_endpoint {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(Duration::from_secs(5))
                .build()?;
            tracer = tracer.with_batch_exporter(exporter);
        }
        let tracer = tracer.build();

        let registry = Registry::new();
        let exporter =
            opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let meter =
            SdkMeterProvider::builder().with_reader(exporter).with_resource(resource).build();
        global::set_meter_provider(meter.clone());

        let spans = tracing_opentelemetry::layer().with_tracer(tracer.tracer("usher"));
        let filter = EnvFilter::try_new(&settings.log_filter)?;
        let subscriber = tracing_subscriber::registry().with(filter).with(spans);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        match settings.log_format {
            LogFormat::Pretty => subscriber.with(lines.with_target(false)).try_init()?,
            LogFormat::Json => {
                subscriber.with(lines.json().flatten_event(true).with_span_list(true)).try_init()?
            }
        }
        Ok(Self { tracer, meter, registry })
    }

    /// The metrics in Prometheus' text format.
    pub fn metrics(registry: &Registry) -> String {
        let mut text = Vec::new();
        // Only a broken metric family could fail, and a half page of metrics is better than none.
        let _ = TextEncoder::new().encode(&registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    /// What [`Telemetry::metrics`] prints.
    pub fn registry(&self) -> Registry {
        self.registry.clone()
    }

    /// Sends what is still to be sent, within a second.
    pub fn stop(self) {
        let _ = self.tracer.shutdown_with_timeout(Duration::from_secs(1));
        let _ = self.meter.shutdown_with_timeout(Duration::from_secs(1));
    }
}

/// The W3C trace context of the current span, to be carried to whoever goes on with the story.
pub fn current_traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove("traceparent")
}

/// Makes `span` go on with the trace of `traceparent`, and names the trace in its log lines.
pub(crate) fn continue_trace(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent {
        let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        // It fails only where no subscriber listens, as in unit tests.
        let _ = span.set_parent(parent);
    }
    let trace = span.context().span().span_context().trace_id();
    span.record("trace_id", tracing::field::display(trace));
}

/// The instruments, by their names on the metrics page.
pub(crate) struct Instruments {
    /// `usher_rpc_server_duration_seconds{method,code}`.
    pub rpc: Histogram<f64>,
    /// `usher_messages_consumed_total{queue,outcome}`.
    pub consumed: Counter<u64>,
    /// `usher_message_handling_seconds{queue}`.
    pub handling: Histogram<f64>,
    /// `usher_messages_redelivered_total{queue}`.
    pub redelivered: Counter<u64>,
    /// `usher_messages_published_total{service,outcome}`.
    pub published: Counter<u64>,
    /// `usher_publish_seconds{service}`: from sending a batch to its last confirmation, without the wait
    /// for its turn; in process until its consumers have handled it.
    pub publishing: Histogram<f64>,
    /// `usher_dead_letters_total{queue,ground}`.
    pub dead_letters: Counter<u64>,
    /// `usher_timer_runs_total{timer,outcome}`.
    pub timer_runs: Counter<u64>,
    /// `usher_outbox_waiting{service}`.
    pub outbox_waiting: Gauge<u64>,
    /// `usher_outbox_refused{service}`.
    pub outbox_refused: Gauge<u64>,
    /// `usher_outbox_dead{service}`.
    pub outbox_dead: Gauge<u64>,
    /// `usher_outbox_oldest_seconds{service}`.
    pub outbox_oldest: Gauge<f64>,
}

impl Instruments {
    pub(crate) fn new() -> Self {
        let meter = global::meter("usher");
        let seconds =
            [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let histogram = |name| {
            meter.f64_histogram(name).with_unit("s").with_boundaries(seconds.to_vec()).build()
        };
        Self {
            rpc: histogram("usher_rpc_server_duration"),
            consumed: meter.u64_counter("usher_messages_consumed").build(),
            handling: histogram("usher_message_handling"),
            redelivered: meter.u64_counter("usher_messages_redelivered").build(),
            published: meter.u64_counter("usher_messages_published").build(),
            publishing: histogram("usher_publish"),
            dead_letters: meter.u64_counter("usher_dead_letters").build(),
            timer_runs: meter.u64_counter("usher_timer_runs").build(),
            outbox_waiting: meter.u64_gauge("usher_outbox_waiting").build(),
            outbox_refused: meter.u64_gauge("usher_outbox_refused").build(),
            outbox_dead: meter.u64_gauge("usher_outbox_dead").build(),
            outbox_oldest: meter.f64_gauge("usher_outbox_oldest").with_unit("s").build(),
        }
    }
}

/// A metric's label.
pub(crate) fn label(key: &'static str, value: impl Into<opentelemetry::Value>) -> KeyValue {
    KeyValue::new(key, value)
}
