//! `negawatt readings` on the store of a demo.

use negawatt_tests::program::{demo, negawatt, stderr, stdout};

#[test]
fn a_store_tells_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    let result = demo(&folder, &[]);
    let store = folder.join("store");
    let ask = |more: &[&str]| {
        let mut args = vec!["readings", "--store", store.to_str().unwrap()];
        args.extend(more);
        negawatt(&args)
    };

    let file = dir.path().join("readings.parquet");
    let all = ask(&["--output", "json", "--parquet", file.to_str().unwrap()]);
    assert!(all.status.success(), "{}", stderr(&all));
    let object: serde_json::Value = serde_json::from_str(&stdout(&all)).unwrap();
    assert_eq!(object["schema"], "negawatt.readings/1");
    let series = object["series"].as_array().unwrap();
    let count = |series: &[serde_json::Value]| series.iter().map(|one| one["readings"].as_u64().unwrap()).sum::<u64>();
    // The imported baseline and weather are there beside what was polled.
    assert!(count(series) > result["readings"]["stored"].as_u64().unwrap(), "{object}");
    assert!(stderr(&all).contains(&format!("{} readings written to", count(series))), "{}", stderr(&all));
    assert!(std::fs::metadata(&file).unwrap().len() > 100_000);

    let device = series[0]["device"].as_str().unwrap();
    let one = ask(&["--device", device, "--output", "json"]);
    let object: serde_json::Value = serde_json::from_str(&stdout(&one)).unwrap();
    assert!(object["series"].as_array().unwrap().iter().all(|one| one["device"] == device), "{object}");

    // What they come to, by the day and by the quarter of an hour, is the same in sum.
    let sums = |resolution: &str| {
        let asked = ask(&["--resolution", resolution, "--zone", "America/Chicago", "--output", "json"]);
        let object: serde_json::Value = serde_json::from_str(&stdout(&asked)).unwrap();
        assert_eq!((&object["schema"], &object["resolution"]), (&"negawatt.readings.buckets/1".into(), &resolution.into()));
        let buckets = object["series"].as_array().unwrap().iter().flat_map(|one| one["buckets"].as_array().unwrap().clone());
        buckets.map(|bucket| bucket["readings"].as_u64().unwrap()).sum::<u64>()
    };
    let (days, hours, quarters) = (sums("1d"), sums("1h"), sums("15m"));
    assert_eq!((days, hours, quarters), (count(series), count(series), count(series)));
    let by_day = stdout(&ask(&["--device", device, "--resolution", "1d"]));
    assert!(by_day.contains("days of UTC") && by_day.lines().any(|line| line.ends_with("good")), "{by_day}");
    let dumped = negawatt(&["store", "dump", "--store", store.to_str().unwrap(), "--resolution", "1d"]);
    assert!(stdout(&dumped).starts_with("device,point,unit,from,to,expected,"), "{}", stderr(&dumped));

    let human = ask(&["--device", device]);
    assert!(stdout(&human).lines().any(|line| line.starts_with("device")), "{}", stdout(&human));
    let none = ask(&["--to", "1970-01-01T00:00:00Z"]);
    assert!(none.status.success() && stdout(&none).contains("no reading in this range"), "{}", stdout(&none));

    let stranger = ask(&["--facility", "acme/nowhere"]);
    assert_eq!(stranger.status.code(), Some(2));
    assert!(stderr(&stranger).contains("acme/nowhere") && stderr(&stranger).contains("--facility"), "{}", stderr(&stranger));
    let absent = negawatt(&["readings", "--store", dir.path().join("absent").to_str().unwrap()]);
    assert_eq!(absent.status.code(), Some(69));
    assert!(stderr(&absent).contains("absent"), "{}", stderr(&absent));
}
