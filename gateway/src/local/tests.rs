//! The pages of a whole gateway with meters on real sockets, as a browser without script meets them.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use daemon::SystemClock;
use devices::Profile;
use ids::IdSource;
use jiff::{SignedDuration, Timestamp};
use simulator::{Faults, Grid, Load, Meter, TcpServer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::*;
use crate::{config::Config, serve::ServeError, serve::serve};

/// What came back.
#[derive(Debug)]
struct Answer {
    code: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map_or("", |(_, value)| value)
    }

    /// What its first form carries to show that it is ours.
    fn key(&self) -> &str {
        self.body.split("name=\"key\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap()
    }
}

/// A gateway that runs, its meters, and a browser.
struct Stand {
    address: SocketAddr,
    status: Arc<Status>,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
    meter: Arc<Meter>,
    server: TcpServer,
    other: TcpServer,
    cookie: String,
    folder: tempfile::TempDir,
}

async fn meter(seed: u64) -> (Arc<Meter>, TcpServer) {
    let now = SystemClock.now();
    let hours: Vec<(Timestamp, i64)> = (-1..4).map(|hour| (now + SignedDuration::from_hours(hour), 40_000)).collect();
    let profile: &Profile = devices::find("eastron-sdm630").unwrap();
    let meter = Arc::new(Meter::electrical(profile, &Load::hourly(&hours).unwrap(), Grid::EUROPE, seed, 1_234_567, Arc::new(SystemClock)));
    let server = TcpServer::start(vec![(1, Arc::clone(&meter))], Faults::seeded(seed)).await.unwrap();
    (meter, server)
}

fn bus(name: &str, address: SocketAddr, device: &str) -> String {
    format!(
        "[[bus]]\nname = \"{name}\"\nkind = \"tcp\"\naddress = \"{address}\"\n[[bus.device]]\nid = \"{device}\"\nunit = 1\nprofile = \"eastron-sdm630\"\n"
    )
}

impl Stand {
    async fn start() -> Self {
        let (meter, server) = meter(1).await;
        let (_, other) = self::meter(2).await;
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        loop {
            // Another test may take the port before the gateway does.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
            let text = format!(
                "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n[broker]\n# url = \"mqtt://gw:s3cret@10.0.0.7:1883\"\nurl = \"mqtt://127.0.0.1:1\"\n\
                 [poll]\ninterval = \"1s\"\n[spool]\nmax = \"4MiB\"\n[http]\nlisten = \"{free}\"\n\
                 [commands]\nkeys = [\"ed25519:fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025\"]\nconfirm_within = \"3s\"\n{}",
                folder.path().display(),
                bus("room", server.address(), "boiler")
            );
            let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
            let status = Arc::new(Status::default());
            let serving = tokio::spawn(serve(config, Arc::new(SystemClock), IdSource::seeded(1), Arc::clone(&status), stop.clone()));
            while status.snapshot().sweeps == 0 && !serving.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
            if !serving.is_finished() {
                return Self { address: free, status, stop, serving, meter, server, other, cookie: String::new(), folder };
            }
            assert!(matches!(serving.await.unwrap(), Err(ServeError::Listen(_))));
        }
    }

    async fn send(&self, head: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: theme=x; {}\r\n", self.cookie) };
        let length = body.len();
        let message = format!("{head}\r\n{cookie}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { code, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}", self.address), "").await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        self.send(&format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded", self.address), form).await
    }

    /// A form with the key of this session.
    async fn submit(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let key = self.get("/spool").await.key().to_owned();
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("key", &key).extend_pairs(fields).finish();
        self.post(path, &form).await
    }

    async fn pair(&mut self) {
        let code = Pairing::of(self.folder.path()).new_code(SystemClock.now()).unwrap();
        let answer = self.post("/pair", &format!("code={code}")).await;
        assert_eq!((answer.code, answer.header("location")), (303, "/"), "{answer:?}");
        self.cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    }

    /// Looks at a page until it says something.
    async fn until(&self, path: &str, says: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let page = self.get(path).await.body;
            if says(&page) {
                return page;
            }
            assert!(begun.elapsed() < Duration::from_secs(15), "{path} does not say so: {page}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.serving.await.unwrap().unwrap();
    }
}

const PAGES: [&str; 7] = ["/", "/devices", "/scan", "/checks", "/spool", "/logs", "/configuration"];
const ACTIONS: [&str; 7] = ["/devices/boiler/read", "/scan", "/identify", "/checks", "/checks/machine", "/stop", "/configuration"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_see_health_and_nothing_else() {
    let stand = Stand::start().await;
    let first = stand.get("/").await;
    assert_eq!(first.code, 200);
    for name in ["acme", "hall", "gw-1", "boiler", "room", "127.0.0.1", "s3cret"] {
        assert!(!first.body.contains(name), "{name} is told to strangers: {}", first.body);
    }
    assert!(first.body.contains("name=\"code\"") && first.body.contains("polling"), "{}", first.body);
    for page in &PAGES[1..] {
        let sent_away = stand.get(page).await;
        assert_eq!((sent_away.code, sent_away.header("location")), (303, "/"), "{page}");
    }
    for action in ACTIONS {
        assert_eq!(stand.post(action, "key=00").await.code, 403, "{action}");
    }
    // For machines: no names.
    assert_eq!((stand.get("/livez").await.code, stand.get("/version").await.code), (200, 200));
    let started = stand.get("/startupz").await;
    assert_eq!((started.code, started.body.as_str()), (200, "started\n"), "it polls, though no broker is there");
    let ready = stand.get("/readyz").await;
    assert_eq!((ready.code, ready.body.as_str()), (503, "readings wait here: there is no working connection to the broker\n"));
    let metrics = stand.get("/metrics").await.body;
    assert!(metrics.contains("negawatt_gateway_devices 1") && !metrics.contains("boiler") && !metrics.contains("room"), "{metrics}");
    let counted: serde_json::Value = serde_json::from_str(&stand.get("/v1/status").await.body).unwrap();
    assert_eq!(counted["buses"][0]["devices"][0]["device"], "boiler");
    // A name from afar that leads here, and a form from another page.
    let renamed = stand.send("GET /v1/status HTTP/1.1\r\nHost: rebound.example", "").await;
    assert_eq!(renamed.code, 421);
    let foreign =
        stand.send(&format!("POST /pair HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: cross-site", stand.address), "code=22222222").await;
    assert_eq!(foreign.code, 403);
    let wrong = stand.post("/pair", "code=2222-2222").await;
    assert_eq!((wrong.code, wrong.header("set-cookie")), (403, ""));
    assert!(wrong.body.contains("this is not the code"), "{}", wrong.body);
    assert_eq!(stand.post("/pair", &"x".repeat(5_000)).await.code, 413);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paired_browser_sees_and_does_and_can_be_sent_away() {
    let mut stand = Stand::start().await;
    let code = Pairing::of(stand.folder.path()).new_code(SystemClock.now()).unwrap();
    let paired = stand.post("/pair", &format!("code={code}")).await;
    let cookie = paired.header("set-cookie").to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"), "{cookie}");
    stand.cookie = cookie.split(';').next().unwrap().to_owned();
    for page in PAGES {
        let answer = stand.get(page).await;
        assert_eq!(answer.code, 200, "{page}: {}", answer.body);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "no-store"));
        // Nothing from elsewhere, no script, no style that the policy would refuse.
        for foreign in ["<script", " style=", "src=", "href=\"http", "href=\"//", "s3cret"] {
            assert!(!answer.body.contains(foreign), "{foreign} on {page}: {}", answer.body);
        }
        assert_eq!(answer.body.matches("aria-current=\"page\"").count(), 1, "{page}");
    }
    assert_eq!(stand.get("/page.css").await.header("content-type"), "text/css; charset=utf-8");
    // Nothing is changed by looking, and nothing by a form of somebody else.
    for action in ACTIONS {
        let looked = stand.get(action).await.code;
        assert!(looked == 405 || PAGES.contains(&action), "{action}: {looked}");
        assert_eq!(stand.post(action, "").await.code, 403, "{action}");
        assert_eq!(stand.post(action, "key=00112233").await.code, 403, "{action}");
    }
    // What the meter shows.
    let page = stand.get("/devices/boiler").await.body;
    let shown = page.split("<td>v1").nth(1).and_then(|rest| rest.split("<td class=\"number\">").nth(1)?.split(" V<").next()).unwrap();
    let told: Vec<String> = (0..20)
        .filter_map(|back| stand.meter.truth("v1", SystemClock.now() - SignedDuration::from_secs(back)))
        .map(units::Measured::decimal_text)
        .collect();
    assert!(told.iter().any(|told| told == shown), "{shown} is none of {told:?}");
    let (before, sweeps) = (stand.server.exchanges(), stand.status.snapshot().sweeps);
    let read = stand.submit("/devices/boiler/read", &[]).await;
    assert_eq!((read.code, read.header("location")), (303, "/devices/boiler"));
    assert!(stand.server.exchanges() > before && stand.status.snapshot().sweeps >= sweeps);
    assert_eq!(stand.get("/devices/nothing").await.code, 404);
    let page = stand.get("/devices/%3Cb%3E").await;
    assert!(page.code == 404 && page.body.contains("&lt;b&gt;") && !page.body.contains("<b>"), "{}", page.body);
    // Leaving ends this session; revoking ends them all.
    let left = stand.submit("/leave", &[]).await;
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(stand.get("/devices").await.code, 303);
    stand.pair().await;
    assert_eq!(stand.get("/devices").await.code, 200);
    assert_eq!(Pairing::of(stand.folder.path()).revoke(SystemClock.now()).unwrap(), 1);
    assert_eq!(stand.get("/devices").await.code, 303);
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_and_checks_leave_polling_alone() {
    let mut stand = Stand::start().await;
    stand.pair().await;
    // A bus in use is not scanned.
    let own = stand.server.address().to_string();
    stand.submit("/scan", &[("place", &format!("tcp://{own}"))]).await;
    let page = stand.until("/scan", |page| page.contains("polls bus")).await;
    assert!(page.contains("is left alone: the gateway polls bus `room` there"), "{page}");
    stand.submit("/identify", &[("url", &format!("rtu+tcp://{own}")), ("unit", "1")]).await;
    stand.until("/scan", |page| page.contains("two masters spoil one another")).await;
    // Another one is, by the same engine as the command line's.
    let other = stand.other.address().to_string();
    stand.submit("/scan", &[("place", &format!("tcp://{other}"))]).await;
    let busy = stand.submit("/checks/machine", &[]).await;
    assert_eq!(busy.code, 409, "{}", busy.body);
    let page = stand.until("/scan", |page| page.contains("Modbus TCP answers here")).await;
    assert!(page.contains("eastron-sdm630") && page.contains(&other), "{page}");
    // Somebody stops what takes too long.
    stand.submit("/checks", &[("device", "boiler"), ("watch", "600")]).await;
    stand.until("/checks", |page| page.contains("Running:")).await;
    stand.submit("/stop", &[]).await;
    stand.until("/checks", |page| page.contains("stopped before the end")).await;
    let missed = stand.status.snapshot();
    stand.submit("/checks", &[("device", "boiler"), ("watch", "3"), ("ct", "200/5")]).await;
    let page = stand.until("/checks", |page| page.contains("the supply looks right")).await;
    assert!(page.contains("the registers change while they are watched"), "{page}");
    let now = stand.status.snapshot();
    assert_eq!((now.sweeps_missed, now.points_failed), (missed.sweeps_missed, missed.points_failed), "no poll was disturbed");
    let refused = stand.submit("/checks", &[("device", "boiler"), ("watch", "3"), ("ct", "two hundred")]).await;
    assert!(refused.code == 400 && refused.body.contains("is not a ratio"), "{}", refused.body);
    stand.submit("/checks/machine", &[]).await;
    stand.until("/checks", |page| page.contains("MiB free at")).await;
    stand.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_checked_tried_and_taken_back() {
    let mut stand = Stand::start().await;
    stand.pair().await;
    let shown = stand.get("/configuration").await.body;
    assert!(shown.contains("mqtt://***@10.0.0.7:1883") && !shown.contains("s3cret"), "{shown}");
    let text = shown.split("required>").nth(1).and_then(|rest| rest.split("</textarea>").next()).unwrap();
    let text = text.replace("&quot;", "\"").replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&");
    let offer = async |toml: &str, what: &str| stand.submit("/configuration", &[("toml", &toml.replace('\n', "\r\n")), ("do", what)]).await;
    // Wrong: every fault is told, nothing changes.
    let wrong = offer(&text.replace("sdm630", "sdm999").replace("unit = 1", "unit = 999"), "try").await;
    assert_eq!(wrong.code, 422);
    assert!(wrong.body.contains("2 faults") && wrong.body.contains("sdm999"), "{}", wrong.body);
    let fixed = offer(&text.replace("id = \"gw-1\"", "id = \"gw-2\""), "try").await;
    assert!(fixed.code == 409 && fixed.body.contains("cannot change while the gateway runs"), "{}", fixed.body);
    let same = offer(&text, "try").await;
    assert!(same.code == 409 && same.body.contains("followed already"), "{}", same.body);
    let more = format!("{text}{}", bus("board", stand.other.address(), "second"));
    let right = offer(&more, "check").await;
    assert!(right.code == 200 && right.body.contains("2 buses, 2 devices. Nothing was changed."), "{}", right.body);
    assert_eq!(stand.status.snapshot().config_version, 0);
    // Right: it is tried, a device gives a value, and it stays. The broker could not be reached before either.
    let tried = offer(&more, "try").await;
    assert!(tried.code == 202 && tried.body.contains("tried as version 1"), "{}", tried.body);
    stand.until("/configuration", |page| page.contains("version 1: ") && page.contains("stays")).await;
    stand.until("/devices", |page| page.contains("/devices/second") && page.matches("answers</span>").count() == 2).await;
    // Nothing answers with the next one: the one before is followed again.
    let lame = more.replace(&stand.server.address().to_string(), "127.0.0.1:1").replace(&stand.other.address().to_string(), "127.0.0.1:2");
    assert_eq!(offer(&lame, "try").await.code, 202);
    let busy = offer(&text, "try").await;
    assert!(busy.code == 409 && busy.body.contains("version 2 is on trial"), "{}", busy.body);
    stand.until("/configuration", |page| page.contains("version 2: ") && page.contains("no device gave a value")).await;
    assert_eq!((stand.status.snapshot().config_version, stand.status.snapshot().config_trial), (1, false));
    let kept = std::fs::read_to_string(stand.folder.path().join("config/a.toml")).unwrap();
    assert!(kept.contains("gw:s3cret@"), "what was hidden is kept as it was");
    stand.end().await;
}
