use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
#[command(name = "negawatt-gateway")]
struct Program {
    #[command(flatten)]
    args: Args,
}

#[test]
fn the_commands_fit_together() {
    Program::command().debug_assert();
}

#[test]
fn help_says_what_there_is() {
    let mut help = String::new();
    let mut program = Program::command().term_width(100);
    help.push_str(&program.render_long_help().to_string());
    for name in ["run", "check", "probe", "scan", "identify", "setup", "doctor", "live", "commission", "report", "key", "replay", "pair"] {
        let sub = program.find_subcommand_mut(name).unwrap();
        help.push_str(&format!("\n--- {name}\n{}", sub.clone().term_width(100).render_long_help()));
    }
    insta::assert_snapshot!(help);
}

#[test]
fn a_wrong_configuration_exits_with_78_and_a_wrong_url_with_2() {
    let run_args = |args: &[&str]| run(Program::parse_from([&["negawatt-gateway", "-q"], args].concat()).args);
    assert_eq!(run_args(&["check", "--config", "/nowhere/gateway.toml"]), ExitCode::Configuration);
    assert_eq!(run_args(&["probe", "10.0.0.1", "--device", "eastron-sdm630"]), ExitCode::Usage);
    assert_eq!(run_args(&["probe", "tcp://127.0.0.1:502", "--device", "nonsense"]), ExitCode::Usage);
    assert_eq!(run_args(&["probe", "tcp://127.0.0.1:1", "--device", "eastron-sdm630"]), ExitCode::DependencyDown);
    assert_eq!(run_args(&["probe", "rtu:///dev/none", "--device", "eastron-sdm630"]), ExitCode::DependencyDown);
}

#[test]
fn a_wish_for_frames_that_are_there_is_left_for_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let text = format!(
        "[gateway]\ntenant = \"acme\"\nfacility = \"hall\"\nid = \"gw-1\"\ndata_dir = \"{}\"\n[broker]\nurl = \"mqtt://127.0.0.1:1\"\n\
         [[bus]]\nname = \"main\"\nkind = \"tcp\"\naddress = \"127.0.0.1:1\"\n[[bus.device]]\nid = \"m\"\nunit = 1\nprofile = \"eastron-sdm630\"\n",
        folder.path().display()
    );
    std::fs::write(&path, text).unwrap();
    let replay = |from: &str, to: &str| {
        let config = path.to_str().unwrap();
        run(Program::parse_from(["negawatt-gateway", "-q", "replay", "--config", config, "--from", from, "--to", to]).args)
    };
    assert_eq!(replay("1", "5"), ExitCode::DependencyDown, "there is no spool yet");
    let mut spool = crate::spool::Spool::open(&folder.path().join("spool"), crate::spool::SpoolOptions::within(2 << 20), || {
        ids::SpoolId::from_bytes([7; 16])
    })
    .unwrap();
    for seq in 1..=9_i64 {
        let frame = wire::Frame { tick_ms: seq * 60_000, ..wire::Frame::default() };
        spool.append(&wire::Message::encode_to_vec(&frame)).unwrap();
    }
    spool.commit().unwrap();
    // The spool is in use all the while.
    assert_eq!(replay("5", "1"), ExitCode::Usage);
    assert_eq!(replay("5", "1970-01-01T00:06:00Z"), ExitCode::Usage);
    assert_eq!(replay("20", "30"), ExitCode::DataRefused);
    assert_eq!(replay("1970-01-01T00:03:00Z", "1970-01-01T00:06:30Z"), ExitCode::Ok);
    let left: Vec<_> = std::fs::read_dir(folder.path().join("spool/replay")).unwrap().collect();
    let [Ok(wish)] = &left[..] else { panic!("one wish: {left:?}") };
    assert_eq!(std::fs::read_to_string(wish.path()).unwrap(), r#"{"schema":"negawatt.replay/1","first":3,"last":6}"#);
}
