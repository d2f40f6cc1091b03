use std::collections::BTreeMap;

use config::Secret;
use proptest::prelude::*;
use store::{Options, Reader};
use units::{Quality, Unit};

use super::*;
use crate::{Names, PointRule, WriteConfig};

const NOW: &str = "2026-01-01T00:00:00Z";
const NOW_MS: i64 = 1_767_225_600_000;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    fn sleep_until(&self, _at: Timestamp) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// Device and point, unit and exponent; time and value.
type Stored = BTreeMap<(String, String), Vec<(i64, Option<i64>)>>;
type Expected<'a> = (&'a str, &'a str, &'a [(i64, i64)]);

/// An endpoint with a store of its own.
struct Endpoint {
    folder: tempfile::TempDir,
    writes: Writes,
}

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

fn endpoint() -> Endpoint {
    let folder = tempfile::tempdir().unwrap();
    let rule = |unit, exponent, point: Option<&str>| PointRule { point: point.map(str::to_owned), unit, exponent, ignored: false };
    let points = HashMap::from([
        (("modbus".to_owned(), "Voltage L1".to_owned()), rule(Some(Unit::Volt), Some(-1), Some("v1"))),
        (("cpu".to_owned(), "usage".to_owned()), rule(Some(Unit::Percent), None, None)),
        (("cpu".to_owned(), "model".to_owned()), PointRule { ignored: true, ..PointRule::default() }),
    ]);
    let names = Names { point_tags: vec!["cpu".to_owned()], ignored_tags: vec!["rack".to_owned()], points, ..Names::default() };
    let token = crate::WriteToken {
        token: Secret::new("secret"),
        tenant: slug("acme"),
        facilities: Vec::new(),
        gateway: slug("http"),
        points_per_second: None,
    };
    let mut config = Config::new(folder.path().to_owned(), "127.0.0.1:0".parse().unwrap(), ("127.0.0.1".to_owned(), 1));
    config.write = WriteConfig { names, tokens: vec![token], ..WriteConfig::default() };
    let store = Arc::new(Store::open(folder.path(), Options::default()).unwrap());
    let writes = Writes::new(Arc::new(config), Arc::new(Live::default()), store, Arc::default(), Arc::new(Noon), CancellationToken::new());
    Endpoint { folder, writes }
}

impl Endpoint {
    fn write(&self, precision: Precision, body: &[u8]) -> Written {
        let bucket = Bucket { tenant: slug("acme"), facility: slug("hall") };
        let request = Request { bucket: &bucket, gateway: &slug("http"), precision, now: NOW.parse().unwrap() };
        self.writes.take(&request, body).unwrap()
    }

    fn millis(&self, body: &str) -> Written {
        self.write(Precision::Milliseconds, body.as_bytes())
    }

    /// Every reading: device and point, unit and exponent, time and value.
    fn stored(&self) -> Stored {
        let reader = Reader::open(self.folder.path()).unwrap();
        let all = reader.all_series().into_iter().map(|info| {
            let samples = reader.scan(info.id, i64::MIN..i64::MAX).unwrap();
            let kind = format!("{}e{}", info.key.unit, info.key.exponent);
            ((format!("{}/{}", info.key.device, info.key.point), kind), samples.iter().map(|sample| (sample.ts_ms, sample.raw)).collect())
        });
        all.collect()
    }

    fn balanced(&self) -> bool {
        let (live, counters) = (&self.writes.live, self.writes.store.counters());
        live.get(&live.received) == live.get(&live.accounted) && live.get(&live.received) == counters.received()
    }
}

fn of<const N: usize>(series: [Expected<'_>; N]) -> Stored {
    let samples = |samples: &[(i64, i64)]| samples.iter().map(|(ts_ms, raw)| (*ts_ms, Some(*raw))).collect();
    series.into_iter().map(|(name, kind, all)| ((name.to_owned(), kind.to_owned()), samples(all))).collect()
}

#[test]
fn lines_become_readings_of_the_points_they_name() {
    let endpoint = endpoint();
    let body = "# a comment, and an empty line\n\n\
        energy,device=main,unit=kWh value=1234.5 1767225540000\n\
        modbus,host=panel-1 Voltage\\ L1=230.14 1767225540000\r\n\
        cpu,cpu=cpu0,host=panel-1,rack=a\\ b usage=12i,model=\"a\nb,c=d e=1 1\" 1767225540001\n\
        weather,device=roof,point=temp,unit=degC value=-3.25e1 1767225540000\n\
        weather,device=roof,unit=degC indoor=20,outdoor=4u 1767225540000\n\
        reading,device=main,facility=hall,point=v2,tenant=acme,unit=V exponent=-1i,quality=0i,raw=2301i,seq=7i 1767225540000";
    let written = endpoint.millis(body);
    assert_eq!((written.lines, written.refused, written.points), (6, 0, 7), "{written:?}");
    let at = 1_767_225_540_000;
    let expected = of([
        ("main/energy", "kWhe-6", &[(at, 1_234_500_000)]),
        ("main/v2", "Ve-1", &[(at, 2_301)]),
        ("panel-1/cpu.usage.cpu0", "%e-6", &[(at + 1, 12_000_000)]),
        ("panel-1/v1", "Ve-1", &[(at, 2_301)]),
        ("roof/temp", "degCe-6", &[(at, -32_500_000)]),
        ("roof/weather.indoor", "degCe-6", &[(at, 20_000_000)]),
        ("roof/weather.outdoor", "degCe-6", &[(at, 4_000_000)]),
    ]);
    assert_eq!(endpoint.stored(), expected);
    assert!(endpoint.balanced());
}

#[test]
fn what_other_servers_corrupt_in_silence_is_refused_and_kept() {
    let cases = [
        ("kw,device=a,unit=kW value=abc 1767225540000", Reason::Value),
        ("kw,device=a,unit=kW value=1", Reason::NoTime),
        ("kw,device=a,unit=kW value=\"on\" 1767225540000", Reason::Text),
        ("kw,device=a,unit=kW value=true 1767225540000", Reason::Boolean),
        ("kw,device=a,unit=kW value=NaN 1767225540000", Reason::Value),
        ("kw,device=a,unit=kW value=1 1767225540", Reason::Precision),
        ("kw,device=a,unit=kW value=1 1767226201000", Reason::ClockWindow),
        ("kw,device=a,unit=kW value=1 yesterday", Reason::Time),
        ("kw,device=a,unit=kW value=1 1767225540000 1", Reason::Syntax),
        ("kw,device=a,unit=kW value=1,value=2 1767225540000", Reason::DuplicateKey),
        ("kw,device=a,device=b,unit=kW value=1 1767225540000", Reason::DuplicateKey),
        ("kw,device=a,unit=kW value=1e18 1767225540000", Reason::Range),
        ("kw,device=a value=1 1767225540000", Reason::Unit),
        ("kw,device=a,unit=horse value=1 1767225540000", Reason::Unit),
        ("kw,unit=kW value=1 1767225540000", Reason::Device),
        ("kw,device=A,unit=kW value=1 1767225540000", Reason::Name),
        ("Kw,device=a,unit=kW value=1 1767225540000", Reason::Name),
        ("kw,device=a,phase=l1,unit=kW value=1 1767225540000", Reason::Tag),
        ("kw,device=a,point=p,unit=kW l1=1,l2=2 1767225540000", Reason::Point),
        ("kw,device=a,tenant=other,unit=kW value=1 1767225540000", Reason::Tenant),
        ("kw,device=a,facility=attic,unit=kW value=1 1767225540000", Reason::Facility),
        ("kw,device=a\\\\ b,unit=kW value=1 1767225540000", Reason::Backslash),
        ("kw,device=a,unit=kW", Reason::NoField),
        ("kw,device=a,unit=kW value= 1767225540000", Reason::Syntax),
        ("kw,device=,unit=kW value=1 1767225540000", Reason::Syntax),
        (",device=a,unit=kW value=1 1767225540000", Reason::Syntax),
        ("reading,device=a,point=p,unit=kW raw=1.5 1767225540000", Reason::Value),
        ("reading,device=a,point=p,unit=kW raw=1i,exponent=0i,power=1i 1767225540000", Reason::Field),
    ];
    for (line, reason) in cases {
        let endpoint = endpoint();
        let good = "kw,device=a,unit=kW value=7 1767225480000";
        let written = endpoint.millis(&format!("{good}\n{line}\n{}\n", good.replace("480000", "540001")));
        assert_eq!((written.told.as_slice(), written.lines), ([(2, reason)].as_slice(), 3), "{line}");
        assert_eq!(written.malformed, reason.is_malformed());
        let kept = of([("a/kw", "kWe-6", &[(1_767_225_480_000, 7_000_000), (1_767_225_540_001, 7_000_000)])]);
        assert_eq!(endpoint.stored(), kept, "the lines around `{line}` are stored");
        let letters = Reader::open(endpoint.folder.path()).unwrap().dead_letters();
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].reason.as_str(), letters[0].payload.as_slice()), (reason.code(), format!("{line}\n").as_bytes()));
        assert_eq!(letters[0].topic, "/api/v2/write?org=acme&bucket=hall&precision=ms&gateway=http");
        assert!(endpoint.balanced(), "{line}");
    }
}

#[test]
fn a_text_cannot_smuggle_a_line_in() {
    let endpoint = endpoint();
    let inside = "kw,device=a,unit=kW value=666 1767225540000";
    let good = "kw,device=a,unit=kW value=7 1767225480000";
    let written =
        endpoint.millis(&format!("{good}\nlog,device=a m=\"x\n{inside}\n\",n=1 1767225540000\n{good}\nlog,device=a m=\"\n{inside}"));
    assert_eq!((written.lines, written.points), (4, 2));
    assert_eq!(written.told, [(2, Reason::Unit), (6, Reason::Quote)]);
    assert_eq!(endpoint.stored(), of([("a/kw", "kWe-6", &[(1_767_225_480_000, 7_000_000)])]));
    assert!(endpoint.balanced());
}

#[test]
fn a_time_is_read_in_the_precision_of_the_request() {
    let line = |time: &str| format!("kw,device=a,unit=kW value=1 {time}");
    for (precision, time) in [
        (Precision::Seconds, "1767225540"),
        (Precision::Milliseconds, "1767225540000"),
        (Precision::Microseconds, "1767225540000999"),
        (Precision::Nanoseconds, "1767225540000999999"),
    ] {
        let endpoint = endpoint();
        assert_eq!(endpoint.write(precision, line(time).as_bytes()).refused, 0);
        assert_eq!(endpoint.stored(), of([("a/kw", "kWe-6", &[(1_767_225_540_000, 1_000_000)])]));
        assert_eq!(Precision::parse(precision.name()), Some(precision));
    }
}

#[test]
fn what_is_sent_again_is_known_and_what_contradicts_is_kept_beside() {
    let endpoint = endpoint();
    let body = "kw,device=a,unit=kW value=1 1767225540000\nkw,device=a,unit=kW value=2 1767225541000\n";
    for _time in 0..3 {
        endpoint.millis(body);
    }
    let counters = || endpoint.writes.store.counters();
    assert_eq!((counters().accepted, counters().duplicate, counters().conflict), (2, 4, 0));
    endpoint.millis("kw,device=a,unit=kW value=1 1767225540000\nkw,device=a,unit=kW value=3 1767225540000\n");
    assert_eq!((counters().accepted, counters().duplicate, counters().conflict), (3, 5, 1));
    let reader = Reader::open(endpoint.folder.path()).unwrap();
    let history = reader.history(reader.all_series()[0].id, 0..NOW_MS).unwrap();
    assert_eq!(history.iter().filter(|sample| sample.quality != Quality::GOOD).count(), 1, "the later of the two that contradict");
    assert!(endpoint.balanced());
    assert_eq!(reader.spools().iter().map(|spool| spool.ack.holes.len()).sum::<usize>(), 0);
}

#[test]
fn a_long_body_is_several_commits_and_its_refused_lines_several_letters() {
    let endpoint = endpoint();
    let mut body = String::new();
    for index in 0..20_000_i64 {
        let at = NOW_MS - 60_000_000 + index * 1_000;
        body.push_str(&format!("kw,device=a,unit=kW value={index} {at}\n"));
        if index % 4 == 0 {
            body.push_str(&format!("kw,device=a,unit=kW value=x{} {at}\n", "y".repeat(500)));
        }
    }
    let written = endpoint.millis(&body);
    assert_eq!((written.lines, written.refused, written.points, written.told.len()), (25_000, 5_000, 20_000, TOLD_MAX));
    let letters = Reader::open(endpoint.folder.path()).unwrap().dead_letters();
    assert_eq!(letters.iter().map(|letter| letter.points).sum::<u64>(), 5_000);
    assert!(letters.len() > 2 && letters.iter().all(|letter| letter.payload.len() <= LETTER_BYTES + 1));
    assert_eq!(endpoint.stored().values().map(Vec::len).sum::<usize>(), 20_000);
    assert!(endpoint.balanced());
}

#[test]
fn reasons_are_told_apart_and_stand_in_the_document() {
    let document = include_str!("../../INGEST.md");
    for reason in Reason::ALL {
        assert!(document.contains(&format!("`{}`", reason.code())), "INGEST.md says nothing of `{}`", reason.code());
    }
    let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
}

/// A few words of the grammar in any order: what comes of them is never far from a line.
fn nearly_a_line() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "kw",
        ",",
        "device",
        "=",
        "a",
        "unit=kW",
        " ",
        "value=",
        "1",
        ".5",
        "e3",
        "i",
        "u",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "#",
        "1767225540000",
        "true",
        "-",
        "\u{0}",
        "é",
        "kw,device=a,unit=kW value=1 1767225540000",
        "point=p",
    ]);
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    let part = prop_oneof![9 => words.prop_map(|word| word.as_bytes().to_vec()), 1 => bytes];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever is sent: nothing panics, every byte is in a line, a comment or between them, and every line is counted.
    #[test]
    fn whatever_comes_is_taken_apart(body in nearly_a_line()) {
        let (mut lines, mut fields, mut end) = (line::Lines::new(&body), Vec::new(), 0);
        let place = |text: &[u8]| text.as_ptr() as usize - body.as_ptr() as usize;
        while let Some(line) = lines.next(&mut fields) {
            let (number, text) = line.map_or_else(|broken| (broken.number, broken.text), |line| (line.number, line.text));
            let start = place(text);
            prop_assert!(start >= end);
            let between = &body[end..start];
            for left_out in between.split(|byte| *byte == b'\n') {
                let left_out = left_out.trim_ascii();
                prop_assert!(left_out.is_empty() || left_out.starts_with(b"#"), "{:?}", left_out);
            }
            let before = body[..start].iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(usize::try_from(number).unwrap(), before + 1);
            end = start + text.len();
        }
    }

    /// What a writer that knows the grammar writes is what is read, whatever its names are made of.
    #[test]
    fn what_is_written_well_is_read_as_it_was_meant(rack in "[a-zA-Z, =\"é0-9]{1,9}", raw: i64, ago in 0_i64..800_000_000_000) {
        let ts_ms = NOW_MS - ago;
        let line = wire::line_protocol::Line::new("kw").unwrap().tag("device", "a").unwrap().tag("rack", &rack).unwrap();
        let line = line.tag("unit", "kW").unwrap().integer("value", raw / 1_000_000).unwrap().at(ts_ms).unwrap();
        let (mut lines, mut fields, mut said) = (line::Lines::new(line.as_bytes()), Vec::new(), Vec::new());
        let read = lines.next(&mut fields).unwrap().unwrap();
        prop_assert_eq!(when(read.time, Precision::Milliseconds, NOW_MS), Ok(ts_ms));
        let names = Names { ignored_tags: vec!["rack".to_owned()], ..Names::default() };
        let bucket = Bucket { tenant: slug("acme"), facility: slug("hall") };
        Heads::default().read(&names, &bucket, read.head, &fields, &mut said).unwrap();
        prop_assert_eq!(said.len(), 1);
        prop_assert_eq!(said[0].raw, Some(raw / 1_000_000 * 1_000_000));
        prop_assert!(lines.next(&mut fields).is_none());
    }
}

/// Good bodies with bytes that are changed, doubled, cut out and moved: what is read of them is counted, and never more.
#[test]
fn spoiled_bodies_are_taken_apart_whatever_was_done_to_them() {
    const SEED: u64 = 20_261_121;
    let endpoint = endpoint();
    let config = &endpoint.writes.config;
    let bucket = Bucket { tenant: slug("acme"), facility: slug("hall") };
    let request = Request { bucket: &bucket, gateway: &slug("http"), precision: Precision::Milliseconds, now: NOW.parse().unwrap() };
    let good: &[u8] =
        b"kw,device=a,unit=kW value=1.5 1767225540000\ncpu,cpu=cpu0,host=p-1,rack=a\\ b usage=12i,model=\"a b\" 1767225540001\n\
        reading,device=main,facility=hall,point=v2,tenant=acme,unit=V exponent=-1i,quality=0i,raw=2301i,seq=7i 1767225540000\n";
    let random = ids::IdSource::seeded(SEED);
    let below = |bound: usize| usize::try_from(random.next_u64() % bound.max(1) as u64).unwrap();
    let (mut taken, mut left) = (0, 0);
    for _round in 0..20_000 {
        let mut body = good.repeat(1 + below(3));
        for _change in 0..below(6) {
            let (at, to) = (below(body.len()), below(body.len()));
            match below(5) {
                0 => body[at] = b"\\\"\n ,=i#\x00\xff019.-e"[below(16)],
                1 => body.truncate(at.max(1)),
                2 => body.insert(at, body[to]),
                3 => drop(body.remove(at)),
                _ => body.rotate_left(at),
            }
            if body.is_empty() {
                body.push(b'x');
            }
        }
        let lines = body.iter().filter(|byte| **byte == b'\n').count() + 1;
        let (rows, refused) = read_again(config, &request, &body);
        assert!(
            rows.len() <= lines * body.len() && rows.iter().all(|row| crate::ingest::is_point_name(&row.point)),
            "seed {SEED}: {body:?}"
        );
        assert!(rows.iter().all(|row| (PLAUSIBLE_FROM_MS..=NOW_MS + 600_000).contains(&row.ts_ms)), "seed {SEED}: {body:?}");
        taken += rows.len();
        left += usize::try_from(refused.values().sum::<u64>()).unwrap();
    }
    assert!(taken > 20_000 && left > 10_000, "seed {SEED}: {taken} readings taken, {left} refused: both must happen");
}
