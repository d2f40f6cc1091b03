//! Processes that write to a spool on the system's disk and are killed, wherever that hits them.
//!
//! A process that is killed leaves its files as it had got to, so this is about what lies between two steps in the real
//! thing: rolling to the next segment, using a file again, writing the cursor, opening after the kill before. What the
//! disk itself forgets is the other oracle's affair.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::*;
use crate::spool::disk::memory::mix;

/// Kills in an ordinary run; `NEGAWATT_KILLS` asks for more.
const KILLS: u64 = 50;
/// What somebody else would reproduce it with, as far as the machine's own timing allows.
const SEED: u64 = 20_261_121;
const OPTIONS: SpoolOptions = SpoolOptions { bytes_max: 1 << 20, segment_bytes: 64 << 10 };
/// How far the collector is behind. Far less than the allowance: nothing has to be given up.
const BEHIND: u64 = 200;
/// The test below, which starts this very program again with nothing to do but write.
const WRITER: &str = "spool::tests::kill::what_a_killed_process_had_committed_is_there";
const FOLDER: &str = "NEGAWATT_SPOOL_TO_WRITE";

/// What processes have promised.
#[derive(Debug, Default)]
struct Promised {
    /// The first and the last number that each of them committed. What lies between two of them was never whole: the numbers
    /// of frames that a kill has torn are not given again.
    lives: Vec<(u64, u64)>,
    acknowledged: u64,
}

impl Promised {
    /// Takes a line of a process. One that was cut off promises nothing.
    fn hear(&mut self, line: &str) {
        let number = |text: &str| text.strip_suffix('\n').and_then(|digits| digits.parse::<u64>().ok());
        if let Some(first) = line.strip_prefix("from ").and_then(number) {
            assert!(first > self.committed(), "{first} is given again after {}", self.committed());
            self.lives.retain(|(_, last)| *last > self.acknowledged);
            self.lives.push((first, first - 1));
        } else if let Some(seq) = line.strip_prefix("committed ").and_then(number) {
            let (_, last) = self.lives.last_mut().unwrap();
            assert!(seq > *last, "{seq} is committed after {last}");
            *last = seq;
        } else if let Some(seq) = line.strip_prefix("acknowledged ").and_then(number) {
            self.acknowledged = self.acknowledged.max(seq);
        }
    }

    fn committed(&self) -> u64 {
        self.lives.iter().map(|(_, last)| *last).max().unwrap_or(0)
    }

    /// Whether a frame must be there.
    fn is_owed(&self, seq: u64) -> bool {
        seq > self.acknowledged && self.lives.iter().any(|(first, last)| (*first..=*last).contains(&seq))
    }
}

/// A process that writes.
struct Writer {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Writer {
    fn start(folder: &Path, seed: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", WRITER, "--nocapture", "--test-threads", "1"]);
        command.env(FOLDER, folder).env("NEGAWATT_SEED", seed.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        Self { child, told }
    }

    /// Hears one line. Says whether there was one.
    fn line(&mut self, promised: &mut Promised) -> bool {
        let mut line = String::new();
        let read = self.told.read_line(&mut line).unwrap();
        promised.hear(&line);
        read > 0
    }

    /// Kills it, and hears what it said before.
    fn kill(mut self, promised: &mut Promised, told: &str) {
        self.child.kill().unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "{told}: it ended by itself: {ended}");
        while self.line(promised) {}
    }
}

/// Writes, commits and confirms, and says so each time, until it is killed.
fn write_until_killed(folder: &Path, seed: u64) -> ! {
    let mut spool = Spool::open(folder, OPTIONS, || id(7)).unwrap();
    let mut out = std::io::stdout().lock();
    // The test's own line is not ended.
    writeln!(out, "\nfrom {}", spool.next_seq).unwrap();
    for turn in 0.. {
        let random = mix(seed ^ mix(turn));
        for _ in 0..=random % 8 {
            spool.append(&meter_frame(spool.next_seq)).unwrap();
        }
        let committed = spool.commit().unwrap();
        writeln!(out, "committed {committed}").unwrap();
        if random >> 8 & 3 == 0 && committed > BEHIND {
            writeln!(out, "acknowledged {}", committed - BEHIND).unwrap();
            spool.acknowledge(committed - BEHIND).unwrap();
        }
        if random >> 16 & 7 == 0 {
            spool.checkpoint().unwrap();
        }
    }
    unreachable!("it goes on until it is killed")
}

/// Opens a copy of what a kill has left, and compares. Gives how many frames.
fn check(folder: &Path, promised: &Promised, told: &str) -> u64 {
    let copy = tempdir().unwrap();
    for part in ["", SEGMENTS] {
        std::fs::create_dir_all(copy.path().join(part)).unwrap();
        let Ok(files) = std::fs::read_dir(folder.join(part)) else { continue };
        for file in files.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
            std::fs::copy(file.path(), copy.path().join(part).join(file.file_name())).unwrap();
        }
    }
    let mut spool = Spool::open(copy.path(), OPTIONS, || id(7)).unwrap_or_else(|err| panic!("{told}: {err}"));
    assert!(spool.next_seq > promised.committed(), "{told}: would give {} again, {promised:?}", spool.next_seq);
    assert!(spool.acknowledged <= promised.acknowledged, "{told}: believes {} confirmed, {promised:?}", spool.acknowledged);
    let (mut whole, mut seen) = (0, 0);
    for Stored { seq, payload } in read_all(&mut spool) {
        seen = seq;
        match payload {
            Ok(frame) => {
                assert!(frame == meter_frame(seq), "{told}: changed {seq}");
                whole += 1;
            }
            Err(why) => assert!(!promised.is_owed(seq), "{told}: lost {seq}: {why:?}, {promised:?}"),
        }
    }
    assert!(seen >= promised.committed(), "{told}: ends at {seen}, {promised:?}");
    assert_eq!((spool.counters().dropped, spool.counters().points_left_out), (0, 0), "{told}");
    whole
}

#[test]
fn what_a_killed_process_had_committed_is_there() {
    let seed = asked("NEGAWATT_SEED").map_or(SEED, |seed| seed.parse().expect("a seed"));
    if let Some(folder) = asked(FOLDER) {
        write_until_killed(Path::new(&folder), seed);
    }
    let kills = asked("NEGAWATT_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let folder = tempdir().unwrap();
    let at = folder.path().join("spool");
    let began = Instant::now();
    let mut promised = Promised::default();
    let (mut compared, mut at_start) = (0, 0);
    for kill in 0..kills {
        let random = mix(seed ^ mix(kill));
        let told = format!("seed {seed}, kill {kill}");
        let mut writer = Writer::start(&at, random);
        let before = promised.committed();
        if random.is_multiple_of(4) {
            // While it opens the spool, or shortly after.
            sleep(Duration::from_micros(random >> 16 & 0x7fff));
        } else {
            for _ in 0..(random >> 8 & 63) {
                assert!(writer.line(&mut promised), "{told}: it ended by itself");
            }
            sleep(Duration::from_micros(random >> 16 & 0x7ff));
        }
        writer.kill(&mut promised, &told);
        at_start += u64::from(promised.committed() == before);
        compared += check(&at, &promised, &told);
    }
    assert!(promised.committed() > 10 * kills && promised.acknowledged > 0, "hardly anything was written: {promised:?}");
    report(&serde_json::json!({
        "kills": kills,
        "kills_before_a_commit": at_start,
        "kills_frames_committed": promised.committed(),
        "kills_frames_compared": compared,
        // Each of these ends the test with the seed and the kill, so a result that is written has none.
        "kills_committed_lost": 0,
        "kills_seconds": began.elapsed().as_secs_f64(),
    }));
}
