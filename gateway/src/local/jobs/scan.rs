//! Who is out there, on ports and hosts that the gateway does not poll.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{net::lookup_host, sync::mpsc};

use super::{Found, Job};
use crate::{
    config::Config,
    modbus::Endpoint,
    setup::{Event, Place, SERIAL_PATIENCE, Thoroughness, identify, scan},
};

/// Events between the engine and the page.
const EVENTS_MAX: usize = 64;
/// How long a serial port is listened to before the first question.
const LISTEN: Duration = Duration::from_secs(2);

/// Where to look, and how thoroughly.
#[derive(Clone, Debug)]
pub(in crate::local) struct ScanOrder {
    /// `auto`, a port, a host or a network.
    pub(in crate::local) place: String,
    /// All 247 units.
    pub(in crate::local) full: bool,
}

/// Looks for devices wherever no bus of the configuration is.
pub(in crate::local) async fn look_around(order: ScanOrder, config: &Config, root: &Path, job: &Arc<Job>) -> Found {
    let places = match Place::parse(&order.place, root) {
        Ok(places) => places,
        Err(err) => return Found::Nothing(err.to_string()),
    };
    if places.is_empty() {
        return Found::Nothing(
            "this machine has no serial port: plug an adapter in, or name a host such as tcp://192.168.1.20:502".to_owned(),
        );
    }
    let asked = places.len();
    let mut free = Vec::with_capacity(asked);
    let mut taken = Vec::new();
    let buses = addresses(config).await;
    for place in places {
        match in_use(&place, config, &buses).await {
            Some(bus) => taken.push(format!("{place} is left alone: the gateway polls bus `{bus}` there")),
            None => free.push(place),
        }
    }
    if free.is_empty() {
        let next = "what it finds on them is on the page of devices; to look for others, stop the gateway and use `negawatt-gateway scan`";
        return Found::Nothing(format!("{}; {next}", taken.join("; ")));
    }
    for line in taken {
        job.step(line);
    }
    let how = Thoroughness { full: order.full, listen: LISTEN, patience: SERIAL_PATIENCE, anyway: false, identify: true };
    let (events, mut seen) = mpsc::channel(EVENTS_MAX);
    let told = Arc::clone(job);
    let telling = async move {
        let mut trying_now = String::new();
        while let Some(event) = seen.recv().await {
            match event {
                // One line for a setting, not one for each of its questions.
                Event::Asked { place, trying, .. } if trying_now != format!("{place} {trying}") => {
                    told.step(format!("{place}: {trying}"));
                    trying_now = format!("{place} {trying}");
                }
                Event::Asked { .. } => {}
                Event::Found { unit, url, .. } => told.step(format!("found unit {unit} at {url}")),
            }
        }
    };
    let (reports, ()) = tokio::join!(scan(free, how, events), telling);
    Found::Places(reports)
}

/// Asks one unit what it is.
pub(in crate::local) async fn ask_who(url: String, unit: u8, config: &Config, job: &Arc<Job>) -> Found {
    let endpoint = match Endpoint::parse(&url) {
        Ok(endpoint) => endpoint,
        Err(err) => return Found::Nothing(err.to_string()),
    };
    let place = match &endpoint {
        Endpoint::Rtu { path, .. } => Some(Place::Serial { path: path.clone(), only: None, port: None }),
        Endpoint::Tcp(address) | Endpoint::RtuOverTcp(address) => Some(Place::Host { address: address.clone(), serial_frames_only: false }),
        Endpoint::Listen(_) => None,
    };
    let Some(place) = place else { return Found::Nothing("nobody can be asked who has to dial in first".to_owned()) };
    if let Some(bus) = in_use(&place, config, &addresses(config).await).await {
        return Found::Nothing(format!("the gateway polls bus `{bus}` there: two masters spoil one another's answers"));
    }
    job.step(format!("asking unit {unit} at {endpoint}"));
    Found::Identity(Box::new(identify(&endpoint, unit).await))
}

/// The addresses of every bus on a network, by the name of the bus.
async fn addresses(config: &Config) -> Vec<(String, std::net::SocketAddr)> {
    let mut known = Vec::new();
    for bus in &config.buses {
        if let Endpoint::Tcp(address) | Endpoint::RtuOverTcp(address) = &bus.endpoint {
            known.extend(resolved(address).await.into_iter().map(|resolved| (bus.name.to_string(), resolved)));
        }
    }
    known
}

async fn resolved(address: &str) -> Vec<std::net::SocketAddr> {
    // A name that nobody knows is nobody's address.
    lookup_host(address).await.map(Iterator::collect).unwrap_or_default()
}

/// The bus that has this place, under whatever name.
async fn in_use(place: &Place, config: &Config, buses: &[(String, std::net::SocketAddr)]) -> Option<String> {
    match place {
        Place::Serial { path, .. } => {
            let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_err| path.to_owned());
            let wanted = real(path);
            let taken = |bus: &&crate::config::BusConfig| matches!(&bus.endpoint, Endpoint::Rtu { path, .. } if real(path) == wanted);
            config.buses.iter().find(taken).map(|bus| bus.name.to_string())
        }
        Place::Host { address, .. } => {
            let wanted = resolved(address).await;
            buses.iter().find(|(_, taken)| wanted.contains(taken)).map(|(name, _)| name.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(port: &str) -> Config {
        let text = format!(
            "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"data\"\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n\
             [[bus]]\nname = \"room\"\nkind = \"rtu\"\npath = \"{port}\"\n[[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n\
             [[bus]]\nname = \"board\"\nkind = \"tcp\"\naddress = \"127.0.0.1:15502\"\n[[bus.device]]\nid = \"n\"\nunit = 1\nprofile = \"eastron-sdm630\"\n"
        );
        Config::parse(Path::new("gateway.toml"), &text).unwrap()
    }

    #[tokio::test]
    async fn a_bus_in_use_is_known_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let (port, link) = (folder.path().join("ttyUSB0"), folder.path().join("by-path"));
        std::fs::write(&port, "").unwrap();
        std::os::unix::fs::symlink(&port, &link).unwrap();
        let config = config(&link.display().to_string());
        let buses = addresses(&config).await;
        for (place, bus) in [
            (port.display().to_string(), Some("room")),
            (link.display().to_string(), Some("room")),
            ("/dev/null".to_owned(), None),
            ("tcp://localhost:15502".to_owned(), Some("board")),
            ("rtu+tcp://127.0.0.1:15502".to_owned(), Some("board")),
            ("tcp://127.0.0.1:15503".to_owned(), None),
        ] {
            let place = Place::parse(&place, folder.path()).unwrap().pop().unwrap();
            assert_eq!(in_use(&place, &config, &buses).await.as_deref(), bus, "{place}");
        }
    }
}
