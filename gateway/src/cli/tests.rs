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
    for name in ["run", "check", "probe", "scan", "identify", "setup", "doctor", "live", "commission", "report", "key"] {
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
