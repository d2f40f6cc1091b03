//! `negawatt import` and `negawatt weather` as their user meets them: files in, a plan to read, a store, and back out.

use std::path::Path;
use std::process::Output;

use negawatt_tests::program::{program, stderr, stdout};

/// A folder with the fixtures of a kind in it.
fn desk(kind: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(kind), dir.path());
    dir
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

fn run(dir: &Path, line: &str) -> Output {
    program("negawatt").args(line.split(' ')).current_dir(dir).output().unwrap()
}

/// What it said, and how it ended.
fn said(dir: &Path, line: &str) -> String {
    let output = run(dir, line);
    let code = output.status.code().unwrap();
    format!("$ negawatt {line}\n{}{}[{code}]\n", stdout(&output), stderr(&output))
}

fn json(dir: &Path, line: &str) -> serde_json::Value {
    let output = run(dir, line);
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_portals_export_is_planned_committed_and_undone() {
    let dir = desk("import");
    let dir = dir.path();
    let store = "--store store";
    insta::assert_snapshot!(
        [
            said(dir, &format!("import plan utility.csv --mapping utility.toml {store}")),
            said(dir, &format!("import commit utility.csv.plan.json --actor anna {store}")),
            said(dir, &format!("import commit utility.csv.plan.json --actor anna {store}")),
            said(dir, &format!("import plan utility.csv --mapping utility.toml --plan again.json {store}")),
            said(dir, &format!("readings {store}")),
        ]
        .join("\n")
    );
    let plan: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("utility.csv.plan.json")).unwrap()).unwrap();
    assert_eq!((plan["schema"].as_str(), plan["readings"].as_u64()), (Some("negawatt.import.plan/1"), Some(20)));
    let id = plan["id"].as_str().unwrap();

    let undone = json(dir, &format!("import undo {} --actor bert --output json {store}", id.get(..10).unwrap()));
    assert_eq!((undone["schema"].as_str(), undone["import"]["taken_back"].as_u64()), (Some("negawatt.import.undone/1"), Some(18)));
    let list = json(dir, &format!("import list --output json {store}"));
    let one = &list["imports"][0];
    assert_eq!((one["id"].as_str(), one["by"].as_str(), one["undone_by"].as_str()), (Some(id), Some("anna"), Some("bert")));
    let again = run(dir, &format!("import commit utility.csv.plan.json {store}"));
    assert_eq!(again.status.code(), Some(65));
    assert!(stderr(&again).contains("--again"), "{}", stderr(&again));
    let back = json(dir, &format!("import commit utility.csv.plan.json --again --output json {store}"));
    assert_eq!(back["import"]["brought_back"], 18);
    assert!(stdout(&run(dir, &format!("store fsck {store}"))).ends_with("the store is whole\n"));
}

#[test]
fn faults_are_shown_with_file_row_and_rule_and_stop_the_commit() {
    let dir = desk("import");
    let dir = dir.path();
    insta::assert_snapshot!(
        [
            said(dir, "import plan faults.csv --mapping faults.toml --store store"),
            said(dir, "import commit faults.csv.plan.json --store store"),
            said(dir, "import plan faults.csv --mapping utility.toml --store store"),
            said(dir, "import plan greenbutton.xml --mapping greenbutton.toml --accept-faults --store store"),
            said(dir, "import commit greenbutton.xml.plan.json --store store"),
            said(dir, "import undo 1234 --store store"),
        ]
        .join("\n")
    );
    assert_eq!(run(dir, "import commit faults.toml").status.code(), Some(65));
    assert_eq!(run(dir, "import plan absent.csv --mapping absent.toml").status.code(), Some(2));
}

#[test]
fn weather_is_imported_covered_and_chosen() {
    let dir = desk("weather");
    let dir = dir.path();
    let place = "--store store --tenant acme --facility hall";
    insta::assert_snapshot!(
        [
            said(dir, &format!("weather import isd.txt {place}")),
            said(dir, &format!("weather import isd.txt {place}")),
            said(dir, "weather coverage --store store"),
            said(dir, &format!("weather import open-meteo.json --device grid-cell --unit degF --dry-run {place}")),
            said(dir, "weather stations --near 41.99,-87.95,200 --folder folder --from 2024-01-01 --to 2024-01-08"),
            said(dir, "weather stations --near 0,0 --folder folder"),
            said(dir, &format!("weather import folder/notes.txt {place}")),
        ]
        .join("\n")
    );
    let list = json(dir, "import list --store store --output json");
    assert_eq!(list["imports"][0]["reason"], "weather of noaa-isd 725300-94846 in isd.txt");
    let coverage = json(dir, "weather coverage --store store --output json");
    assert_eq!((coverage["hours"]["expected"].as_u64(), coverage["schema"].as_str()), (Some(24), Some("negawatt.weather.coverage/1")));
    let stations = json(dir, "weather stations --near 41.99,-87.95 --folder folder --from 2024-01-01 --to 2024-01-08 --output json");
    assert_eq!(stations["choice"]["station"]["id"], "725300-94846");
}

/// A server that answers by path, once for each request; nothing leaves this machine.
fn serve(files: Vec<(&'static str, Vec<u8>)>, requests: usize) -> (String, std::thread::JoinHandle<()>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for _ in 0..requests {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
            while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            let path = String::from_utf8(request).unwrap().split(' ').nth(1).unwrap().to_owned();
            let (status, body) = match files.iter().find(|(name, _)| *name == path) {
                Some((_, body)) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", b"".as_slice()),
            };
            write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len()).unwrap();
            stream.write_all(body).unwrap();
        }
    });
    (base, thread)
}

#[test]
fn weather_is_fetched_into_the_folder_and_only_weather() {
    let dir = desk("weather");
    let dir = dir.path();
    let year = std::fs::read(dir.join("folder/isd/725300-94846-2024.gz")).unwrap();
    let list = std::fs::read(dir.join("folder/isd-history.csv")).unwrap();
    let files = vec![
        ("/2024/725300-94846-2024.gz", year.clone()),
        ("/isd-history.csv", list),
        ("/2024/111111-99999-2024.gz", b"<html>Please log in</html>".to_vec()),
    ];
    let (base, server) = serve(files, 4);
    let fetch = format!("weather fetch --provider noaa-isd --base {base} --folder fetched");
    // There is no file of 2023.
    let done = json(dir, &format!("{fetch} --station 725300-94846 --years 2023..2024 --output json"));
    assert_eq!((done["schema"].as_str(), done["files"].as_array().unwrap().len()), (Some("negawatt.weather.fetched/1"), 1));
    assert_eq!(std::fs::read(dir.join("fetched/725300-94846-2024.gz")).unwrap(), year);
    assert!(run(dir, &format!("{fetch} --list")).status.success());
    let page = run(dir, &format!("{fetch} --station 111111-99999 --years 2024"));
    assert_eq!(page.status.code(), Some(65), "{}", stderr(&page));
    assert!(stderr(&page).contains("is no weather") && !dir.join("fetched/111111-99999-2024.gz").exists(), "{}", stderr(&page));
    server.join().unwrap();
    let near = "weather stations --near 41.99,-87.95 --folder fetched --from 2024-01-01 --to 2024-01-08 --output json";
    assert_eq!(json(dir, near)["choice"]["station"]["id"], "725300-94846");
    let down = run(dir, &format!("{fetch} --station 725300-94846 --years 2024"));
    assert_eq!(down.status.code(), Some(69), "{}", stderr(&down));
}

/// A typical year stands for a year that somebody names, and never looks like an observation.
#[test]
fn a_typical_year_is_marked_as_one() {
    let dir = desk("mv");
    let dir = dir.path();
    let import = "weather import tmy3-greensboro-nc.csv.gz --store store --tenant acme --facility hall --device typical";
    let unsaid = run(dir, import);
    assert_eq!(unsaid.status.code(), Some(2));
    assert!(stderr(&unsaid).contains("--year"), "{}", stderr(&unsaid));
    let done = json(dir, &format!("{import} --year 2024 --output json"));
    let series = done["import"]["series"].as_array().unwrap();
    let temperature = series.iter().find(|one| one["point"] == "temp").unwrap();
    // 2024 has a leap day, which no typical year has: too long for a line.
    assert_eq!(
        (temperature["hours"].as_u64(), temperature["observed"].as_u64(), temperature["missing"].as_u64()),
        (Some(8_784), Some(8_760), Some(24))
    );
    assert_eq!((temperature["first"].as_str(), done["files"][0]["station"]["id"].as_str()), (Some("2024-01-01T05:00:00Z"), Some("723170")));
    let coverage = json(dir, "weather coverage --store store --device typical --from 2024-02-01 --to 2024-03-01 --output json");
    assert_eq!(coverage["hours"]["substituted"], coverage["hours"]["usable"]);
    assert_eq!(coverage["gaps"][0], serde_json::json!({ "from": "2024-02-29T05:00:00Z", "hours": 19 }));
}
