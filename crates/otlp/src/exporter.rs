//! The task that tells it, until it is stopped, and once more then.

use std::sync::Arc;
use std::time::Duration;

use daemon::Clock;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info, warn};

use crate::config::OtlpConfig;
use crate::exports::Exports;
use crate::message::{ExportMetricsServiceRequest, Resource, ResourceMetrics, Scope, ScopeMetrics, text};
use crate::metrics::{self, Convention};
use crate::receiver::{ExportError, Receiver};

/// The last export has so long when we stop.
const GOODBYE: Duration = Duration::from_secs(2);
/// A receiver that asks us to wait longer is asked again after this.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Who tells it.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    /// `service.name`, when the configuration does not say another.
    pub service: &'a str,
    pub version: &'a str,
    /// `service.instance.id`: different for every process of a service.
    pub instance: &'a str,
    /// What has a second name.
    pub conventions: &'static [Convention],
}

/// An exporter that runs. Dropped, it stops by itself soon.
#[derive(Debug)]
pub struct Exporting {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Exporting {
    /// Tells the last numbers, if they are taken in two seconds, and ends.
    pub async fn ended(self) {
        drop(self.stop);
        if let Err(err) = self.task.await {
            error!(error = %err, "what tells OpenTelemetry did not end well");
        }
    }
}

/// Starts to tell what `page` says, which gives none when it could not be made. Nothing is started when the HTTP client cannot be
/// made; that is said.
pub fn start<P, F>(config: &OtlpConfig, who: Identity<'_>, clock: Arc<dyn Clock>, exports: Arc<Exports>, page: P) -> Option<Exporting>
where
    P: Fn() -> F + Send + Sync + 'static,
    F: Future<Output = Option<String>> + Send + 'static,
{
    let receiver = match Receiver::new(config.clone()) {
        Ok(receiver) => receiver,
        Err(err) => {
            error!(error = daemon::chain(&err), "nothing is told to OpenTelemetry");
            return None;
        }
    };
    let attributes = vec![
        text("service.name", config.service.as_deref().unwrap_or(who.service)),
        text("service.version", who.version),
        text("service.instance.id", who.instance),
    ];
    let scope = Scope { name: env!("CARGO_PKG_NAME").to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let (every, timeout) = (config.every, config.timeout);
    let exporter = Exporter {
        receiver,
        timeout,
        resource: Resource { attributes },
        scope,
        conventions: who.conventions,
        clock,
        exports,
        page,
        not_before: None,
        failing: false,
    };
    let stop = CancellationToken::new();
    let task = tokio::spawn(exporter.run(every, stop.clone()));
    Some(Exporting { stop: stop.drop_guard(), task })
}

#[derive(Debug)]
struct Exporter<P> {
    receiver: Receiver,
    timeout: Duration,
    resource: Resource,
    scope: Scope,
    conventions: &'static [Convention],
    clock: Arc<dyn Clock>,
    exports: Arc<Exports>,
    page: P,
    /// The receiver has asked for this.
    not_before: Option<Instant>,
    /// The last one failed: it is said once.
    failing: bool,
}

impl<P, F> Exporter<P>
where
    P: Fn() -> F + Send + Sync,
    F: Future<Output = Option<String>> + Send + 'static,
{
    async fn run(mut self, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                biased;
                // What is under way is cut off: the last one says all of it.
                () = stop.cancelled() => break,
                () = self.export(self.timeout) => {}
            }
        }
        self.export(self.timeout.min(GOODBYE)).await;
    }

    async fn export(&mut self, within: Duration) {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            Exports::count(&self.exports.left_out, 1);
            return;
        }
        let late = |_late| ExportError::Slow { url: self.receiver.url(), after: within };
        match tokio::time::timeout(within, self.tell()).await.map_err(late).flatten() {
            Ok(()) => self.went_well(),
            Err(err) => self.went_wrong(&err),
        }
    }

    async fn tell(&self) -> Result<(), ExportError> {
        let page = (self.page)().await.ok_or(ExportError::NoPage)?;
        let at_nanos = u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0);
        let (mut metrics, unread) = metrics::of_page(&page, at_nanos);
        metrics::follow(self.conventions, &mut metrics);
        Exports::count(&self.exports.unread, unread);
        let scoped = ScopeMetrics { scope: Some(self.scope.clone()), metrics };
        let resourced = ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics: vec![scoped] };
        let partial = self.receiver.take(&ExportMetricsServiceRequest { resource_metrics: vec![resourced] }).await?;
        let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
        if rejected > 0 {
            Exports::count(&self.exports.rejected, rejected);
            warn!(rejected, said = partial.error_message, "OpenTelemetry refused a part of what it was told");
        }
        Ok(())
    }

    fn went_well(&mut self) {
        Exports::count(&self.exports.taken, 1);
        if std::mem::take(&mut self.failing) {
            info!(otlp.url = self.receiver.url(), "OpenTelemetry is told again");
        }
    }

    fn went_wrong(&mut self, err: &ExportError) {
        Exports::count(&self.exports.failed, 1);
        if let ExportError::Busy { after: Some(after), .. } = err {
            self.not_before = Some(Instant::now() + (*after).min(WAIT_MAX));
        }
        if !std::mem::replace(&mut self.failing, true) {
            warn!(error = daemon::chain(err), "OpenTelemetry is not told; it is tried again, and the next one says everything");
        }
    }
}
