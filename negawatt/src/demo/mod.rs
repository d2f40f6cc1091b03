//! `negawatt demo`: the main job on real input, with faults in the middle of it.
//!
//! A building's history is imported, its consumption is served as registers by simulated meters, the real gateways poll
//! a month of minutes, the broker and the collector are killed on the way, and from what is stored then an invoice is
//! made, collected, paid out, and recomputed offline.

mod building;
mod client;
mod error;
mod faults;
mod folder;
mod money;
mod outcome;
mod progress;
mod rig;
mod roles;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::Secret;
use daemon::{Clock, ExitCode};
use ids::{IdSource, Slug};
use jiff::civil::Date;
use simulator::{DrivenClock, Link};
use tokio_util::sync::CancellationToken;

use crate::cli::{Output, fail, say};
use building::{Building, Dates};
pub(crate) use error::DemoError;
use outcome::{Outcome, Readings, Stage};
use progress::Progress;
use rig::{FACILITY, Polling, TENANT};
use roles::{Ready, Role};

/// How long the last readings may take to arrive after the last poll.
const DRAIN_WITHIN: Duration = Duration::from_secs(120);
const ADMIN_KEY: &str = "nwk_demo0123456789abcdef";
const WEBHOOK_SECRET: &str = "whsec_demo";
const STRIPE_KEY: &str = "sk_test_negawatt";

/// From a meter's registers to a paid-out cent, with no account, no server to install and no network.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// Another building: a folder with `daily.csv`, or with hourly Parquet beside a `meters.json`.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Which meter of a `meters.json`.
    #[arg(long, requires = "data")]
    meter: Option<String>,
    /// The baseline's days, `2012-03-01..2013-03-01`; the end is the day after the last.
    #[arg(long, value_name = "START..END", value_parser = error::days)]
    baseline: Option<Range>,
    /// The reporting month, `2014-04`, or days like the baseline's.
    #[arg(long, value_name = "MONTH", value_parser = error::days)]
    reporting: Option<Range>,
    /// Where the demo's files go; made anew on each run.
    #[arg(long, default_value = "negawatt-demo")]
    dir: PathBuf,
    /// The same seed gives the same invoice and the same evidence.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep it up afterwards, with the status page at the printed address.
    #[arg(long)]
    serve: bool,
}

type Range = std::ops::Range<Date>;

/// Runs the demo to its end.
pub(crate) fn run(args: Args, quiet: bool) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(err) => return fail(&err, ExitCode::DependencyDown),
    };
    match runtime.block_on(demo(&args, quiet)) {
        Ok(()) => ExitCode::Ok,
        Err(err) => fail(&err, err.exit_code()),
    }
}

/// Seconds of each stage, in order.
#[derive(Debug)]
struct Stages {
    begun: Instant,
    last: Instant,
    done: Vec<Stage>,
}

impl Stages {
    fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, last: now, done: Vec::new() }
    }

    fn end(&mut self, name: &'static str) -> f64 {
        let seconds = self.last.elapsed().as_secs_f64();
        self.last = Instant::now();
        self.done.push(Stage { name, seconds });
        seconds
    }

    fn write(&self, path: &Path) -> Result<(), DemoError> {
        let text = serde_json::to_vec(&self.done).map_err(DemoError::Json)?;
        std::fs::write(path, text).map_err(|err| DemoError::File { path: path.to_owned(), err })
    }
}

async fn demo(args: &Args, quiet: bool) -> Result<(), DemoError> {
    let mut stages = Stages::begin();
    let progress = Progress::new(quiet, args.output == Output::Json);
    let building = building(args)?;
    building.check()?;
    let folder = folder::fresh(&args.dir)?;
    progress.say(&format!("building    {}", building.title));

    let mut house = House::start(&folder, args.seed, &building).await?;
    stages.end("start");

    let query = format!("tenant={TENANT}&facility={FACILITY}");
    let meter = format!("{query}&device=utility-meter&point=e_int&unit=kWh");
    let mut imported = client::import(&house.collector_url, &meter, building.baseline_csv()?).await?;
    imported +=
        client::import(&house.collector_url, &format!("{query}&device=weather-station&point=temp"), building.weather_csv()?).await?;
    stages.end("import");
    progress.say(&format!("imported    {imported} readings of history and weather"));

    let (readings, polling) = poll(&building, &mut house, imported, args.seed, &progress, &mut stages).await?;

    let (mut api, serving) = house.serve_api(args.seed).await?;
    let fitted = money::baseline(&mut api, &building).await?;
    stages.end("baseline");
    progress.say(&format!("baseline    {}: R2 {:.3}", fitted.2.method, fitted.2.r_squared_adj));
    let settled = money::settle(&mut api, &building, fitted, &folder).await?;
    stages.end("settle");
    progress.say(&format!("invoice     {} of {} minor units, paid out", settled.invoice.number, settled.invoice.total_minor));

    evidence::audit(&settled.evidence).map_err(|err| DemoError::Audit(daemon::chain(&err)))?;
    stages.end("audit");
    progress.say("audit       verified");

    let outcome = Outcome {
        schema: "negawatt.demo/1",
        readings,
        baseline: settled.baseline,
        savings: settled.savings,
        invoice: settled.invoice,
        payouts: settled.payouts,
        ledger: settled.ledger,
        evidence: settled.evidence,
        paper: settled.paper,
        audit: "verified",
        wall_seconds: stages.begun.elapsed().as_secs_f64(),
    };
    stages.write(&folder.join("stages.json"))?;
    drop(progress);
    match args.output {
        Output::Human => say(&outcome.summary(&building.title, &folder)),
        Output::Json => say(&format!("{}\n", serde_json::to_string(&outcome).map_err(DemoError::Json)?)),
    }
    if args.serve {
        crate::cli::complain(&format!("\nstatus page: http://{}/  (stop with Ctrl-C)", serving.address));
        daemon::shutdown_signal().map_err(DemoError::Simulator)?.cancelled().await;
    }
    for gateway in polling {
        gateway.stop().await?;
    }
    serving.stop().await?;
    house.stop().await
}

fn building(args: &Args) -> Result<Building, DemoError> {
    let dates = Dates { baseline: args.baseline.clone(), reporting: args.reporting.clone() };
    match &args.data {
        Some(folder) => Building::from_folder(folder, args.meter.as_deref(), dates),
        None => {
            let mut building = Building::packaged()?;
            building.baseline = dates.baseline.unwrap_or(building.baseline);
            building.reporting = dates.reporting.unwrap_or(building.reporting);
            Ok(building)
        }
    }
}

/// The processes and sockets that stand for a production platform.
#[derive(Debug)]
struct House {
    folder: PathBuf,
    broker: Role,
    collector: Role,
    collector_url: String,
    /// The gateways' way to the broker, which can be cut.
    link: Link,
    sim: stripe_sim::Sim,
    /// The platform's clock: the morning after the reporting period.
    clock: DrivenClock,
}

impl House {
    async fn start(folder: &Path, seed: u64, building: &Building) -> Result<Self, DemoError> {
        let (broker_at, collector_at) = (roles::free_address()?, roles::free_address()?);
        let listen = vec!["broker".to_owned(), "--listen".to_owned(), broker_at.to_string()];
        let broker = Role::start("broker", listen, folder.join("broker.log"), Ready::Accepts(broker_at)).await?;
        let text = format!(
            "store = \"{}\"\nlisten = \"{collector_at}\"\n[broker]\nurl = \"mqtt://{broker_at}\"\n[ingest]\nack_interval = \"50ms\"\n",
            folder.join("store").display()
        );
        let path = folder.join("collector.toml");
        std::fs::write(&path, text).map_err(|err| DemoError::File { path: path.clone(), err })?;
        let run = vec!["collector".to_owned(), "run".to_owned(), "--config".to_owned(), path.display().to_string()];
        let collector_url = format!("http://{collector_at}");
        let ready = Ready::Answers(format!("{collector_url}/readyz"));
        let collector = Role::start("collector", run, folder.join("collector.log"), ready).await?;
        let link = Link::to(broker_at).await.map_err(DemoError::Simulator)?;
        let morning = building.instants(&building.reporting)?.end + jiff::SignedDuration::from_hours(33);
        let clock = DrivenClock::new(morning, morning);
        let told = clock.clone();
        let mut sim = stripe_sim::SimConfig::new(seed, stripe_sim::Clock::new(move || told.now().as_second()));
        sim.secret_key = STRIPE_KEY.to_owned();
        let sim = stripe_sim::Sim::start(sim).await.map_err(|err| DemoError::StripeSim(daemon::chain(&err)))?;
        Ok(Self { folder: folder.to_owned(), broker, collector, collector_url, link, sim, clock })
    }

    /// Serves the API on what the collector has stored, with the Stripe simulator as its processor.
    async fn serve_api(&self, seed: u64) -> Result<(client::Client, Serving), DemoError> {
        let config = api::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: self.folder.join("api.sqlite"),
            store: self.folder.join("store"),
            partitions: Vec::new(),
            evidence: self.folder.join("evidence"),
            collector: Some(self.collector_url.clone()),
            status_page: api::StatusPage::Public,
            otlp: None,
            stripe: Some(api::Stripe {
                base_url: self.sim.base_url().to_string(),
                secret_key: Secret::new(STRIPE_KEY),
                webhook_secrets: vec![Secret::new(WEBHOOK_SECRET)],
            }),
            tenants: vec![api::Tenant {
                slug: Slug::parse(TENANT).map_err(|err| DemoError::Configuration(err.to_string()))?,
                name: "Demonstration".to_owned(),
                admin_key: Secret::new(ADMIN_KEY),
            }],
            profiles: crate::up::profiles(),
        };
        let stop = CancellationToken::new();
        let running = api::start(config, Arc::new(self.clock.follower()), IdSource::seeded(seed), stop.clone());
        let running = running.await.map_err(DemoError::Api)?;
        let address = running.address();
        self.sim.add_webhook(stripe_sim::WebhookTarget {
            url: format!("http://{address}/v1/webhooks/stripe"),
            secrets: vec![WEBHOOK_SECRET.to_owned()],
        });
        Ok((client::Client::new(format!("http://{address}"), ADMIN_KEY.to_owned()), Serving { address, stop, running }))
    }

    async fn stop(self) -> Result<(), DemoError> {
        self.sim.stop().await;
        self.collector.stop().await?;
        self.broker.stop().await
    }
}

/// The API while it serves.
#[derive(Debug)]
struct Serving {
    address: std::net::SocketAddr,
    stop: CancellationToken,
    running: api::Running,
}

impl Serving {
    async fn stop(self) -> Result<(), DemoError> {
        self.stop.cancel();
        self.running.finished().await.map_err(DemoError::Api)
    }
}

/// Polls the month and the serial day, with the faults in the middle, until the last reading is acknowledged.
async fn poll(
    building: &Building,
    house: &mut House,
    imported: u64,
    seed: u64,
    progress: &Progress,
    stages: &mut Stages,
) -> Result<(Readings, [Polling; 2]), DemoError> {
    let gateways =
        [rig::tcp(building, &house.folder, &house.link, seed).await?, rig::serial(building, &house.folder, &house.link, seed).await?];
    let expected = gateways.iter().map(|gateway| gateway.expected).sum();
    progress.begin("registers -> store", expected);
    faults::while_polling(&gateways, house, progress).await?;
    for gateway in &gateways {
        gateway.polled().await;
    }
    let polled = drained(&gateways, progress).await?;
    let seconds = stages.end("readings");

    let status = client::status(&house.collector_url).await?;
    let stored = stored(&house.folder.join("store")).await?.saturating_sub(imported);
    let snapshots = gateways.each_ref().map(|gateway| gateway.status.snapshot());
    let points = &status["points"];
    let readings = Readings {
        polled,
        acknowledged: snapshots.iter().map(|snapshot| snapshot.points_acknowledged).sum(),
        stored,
        duplicate: client::number(points, "duplicate")?,
        dead_letter: client::number(points, "dead_letter")?,
        lost: polled.saturating_sub(stored),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rate to be read by people"
        )]
        points_per_second: (polled as f64 / seconds) as u64,
    };
    progress.end(&format!("stored      {stored} of {polled} polled points, {} lost, {seconds:.1} s", readings.lost));
    Ok((readings, gateways))
}

/// Waits until every frame is acknowledged by the collector; how many points were polled.
async fn drained(gateways: &[Polling; 2], progress: &Progress) -> Result<u64, DemoError> {
    let deadline = Instant::now() + DRAIN_WITHIN;
    loop {
        let snapshots = gateways.each_ref().map(|gateway| gateway.status.snapshot());
        let polled = snapshots.iter().map(|snapshot| snapshot.points_polled).sum();
        let acknowledged = snapshots.iter().map(|snapshot| snapshot.points_acknowledged).sum();
        progress.at(acknowledged);
        if snapshots.iter().all(|snapshot| snapshot.backlog == 0) && acknowledged == polled {
            return Ok(polled);
        }
        if Instant::now() > deadline {
            return Err(DemoError::Drain { polled, acknowledged });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many readings the store holds, read from its files beside the process that writes them.
async fn stored(store: &Path) -> Result<u64, DemoError> {
    let store = store.to_owned();
    let totals = tokio::task::spawn_blocking(move || store::Reader::open(&store).map(|reader| reader.totals()));
    Ok(totals.await.map_err(DemoError::Task)?.map_err(DemoError::Store)?.rows)
}
