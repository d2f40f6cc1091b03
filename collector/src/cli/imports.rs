//! `negawatt import`: history in bulk. Planned and shown, committed, listed, undone.

mod human;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use daemon::{Clock, ExitCode, SystemClock};
use serde_json::json;
use store::{AmendError, OpenError, Options, Reader, Store};

use super::{Output, fail, say};
use crate::import::bulk::{
    CarryError, CommitOptions, CommitPlanError, Mapping, Plan, PlanError, Prepared, Request, UndoError, UndoOptions, imports, undo,
};
use crate::serve;

/// Brings history from files into a store: planned and shown first, then committed, and undone if need be.
#[derive(Clone, Debug, clap::Args)]
pub struct Imports {
    #[command(subcommand)]
    verb: Verb,
    /// The store's folder; `negawatt up` keeps it in its data folder.
    #[arg(long, global = true, value_name = "FOLDER", default_value = "negawatt-data/store")]
    store: PathBuf,
    /// How it is printed.
    #[arg(long, global = true, value_enum, default_value_t = Output::Human)]
    output: Output,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Reads files (CSV, Parquet, Green Button XML; gzipped or not), checks every row, and says what a commit would do.
    Plan {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What the columns are, as TOML.
        #[arg(long, value_name = "FILE")]
        mapping: PathBuf,
        /// Where the plan is written; beside the first file when left out.
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Take the good rows although others have faults.
        #[arg(long)]
        accept_faults: bool,
    },
    /// Stores what was planned. No collector may have the store open.
    Commit {
        plan: PathBuf,
        #[command(flatten)]
        account: AccountArgs,
        /// Bring back what was undone.
        #[arg(long)]
        again: bool,
    },
    /// Every import, and what became of it.
    List,
    /// Takes an import back, by amendments: what it brought stays in the history of each reading.
    Undo {
        /// Its identity, or the beginning of it.
        id: String,
        #[command(flatten)]
        account: AccountArgs,
    },
}

#[derive(Clone, Debug, clap::Args)]
struct AccountArgs {
    /// Who answers for it.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    actor: String,
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who approved it, where it changes what was billed.
    #[arg(long, value_name = "NAME", default_value = "")]
    approval: String,
}

/// What is printed, and how it ended.
type Done = Result<(String, ExitCode), (String, ExitCode)>;

/// Does what the command line asks.
pub fn run(args: &Imports) -> ExitCode {
    let done = match &args.verb {
        Verb::Plan { files, mapping, plan, accept_faults } => planned(args, files, mapping, plan.as_deref(), *accept_faults),
        Verb::Commit { plan, account, again } => committed(args, plan, account, *again),
        Verb::List => listed(args),
        Verb::Undo { id, account } => undone(args, id, account),
    };
    match done {
        Ok((text, code)) => match say(&text) {
            ExitCode::Ok => code,
            other => other,
        },
        Err((text, code)) => fail(&text, code),
    }
}

fn planned(args: &Imports, files: &[PathBuf], mapping_path: &Path, to: Option<&Path>, accept_faults: bool) -> Done {
    let usage = |path: &Path, err: std::io::Error| (format!("error: could not read {}: {err}", path.display()), ExitCode::Usage);
    let text = std::fs::read_to_string(mapping_path).map_err(|err| usage(mapping_path, err))?;
    let mapping = Mapping::parse(mapping_path, &text).map_err(|faults| (faults.to_string(), ExitCode::Configuration))?;
    let request =
        Request { files, mapping_path, mapping_text: &text, mapping: &mapping, store: &args.store, accept_faults, now: SystemClock.now() };
    let prepared = Prepared::new(&request).map_err(|err| match err {
        PlanError::Nothing { ref faults, count } if args.output == Output::Human => {
            (format!("error: {}\n{}", daemon::chain(&err), human::faults(faults, count)), ExitCode::DataRefused)
        }
        PlanError::Store(ref open) => (format!("error: {}", daemon::chain(&err)), serve::exit_code_of(open)),
        PlanError::Segment(_) => (format!("error: {}", daemon::chain(&err)), ExitCode::DependencyDown),
        err => (format!("error: {}", daemon::chain(&err)), ExitCode::DataRefused),
    })?;
    let path = to.map_or_else(|| beside(files.first().map_or(mapping_path, PathBuf::as_path)), Path::to_owned);
    let body = serde_json::to_string_pretty(&prepared.plan).map_err(|err| (format!("error: {err}"), ExitCode::Bug))?;
    std::fs::write(&path, format!("{body}\n"))
        .map_err(|err| (format!("error: could not write {}: {err}", path.display()), ExitCode::DependencyDown))?;
    let code = if prepared.plan.fault_count() == 0 || accept_faults { ExitCode::Ok } else { ExitCode::DataRefused };
    let told = &prepared.checked.faults.told;
    let text = match args.output {
        Output::Human => human::plan(&prepared.plan, told, &path),
        Output::Json => json!({
            "schema": "negawatt.import.planned/1", "file": path, "plan": prepared.plan, "faults": told, "faults_untold": prepared.plan.untold(),
        })
        .to_string(),
    };
    Ok((text, code))
}

/// `meter.csv` is planned in `meter.csv.plan.json`.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".plan.json");
    name.into()
}

fn committed(args: &Imports, path: &Path, account: &AccountArgs, again: bool) -> Done {
    let text =
        std::fs::read_to_string(path).map_err(|err| (format!("error: could not read {}: {err}", path.display()), ExitCode::Usage))?;
    let refused = |err: CommitPlanError| {
        let code = match &err {
            CommitPlanError::Open(open) => serve::exit_code_of(open),
            CommitPlanError::Carry(CarryError::Commit(err)) if err.is_transient() => ExitCode::TryAgain,
            CommitPlanError::Carry(CarryError::Amend(err)) => amend_code(err),
            CommitPlanError::Carry(_) | CommitPlanError::Segment(_) => ExitCode::DependencyDown,
            CommitPlanError::Mapping(_) => ExitCode::Configuration,
            _ => ExitCode::DataRefused,
        };
        (format!("error: {}{}", daemon::chain(&err), help_of(&err)), code)
    };
    let plan = Plan::parse(path, &text).map_err(refused)?;
    let store = open(&args.store)?;
    let AccountArgs { actor, reason, approval } = account.clone();
    let options = CommitOptions { actor, reason, approval, again, now: SystemClock.now() };
    let committed = plan.commit(&store, &options).map_err(refused)?;
    let text = match args.output {
        Output::Human => human::committed(&committed),
        Output::Json => json!({ "schema": "negawatt.import.committed/1", "import": committed }).to_string(),
    };
    Ok((text, ExitCode::Ok))
}

fn help_of(err: &CommitPlanError) -> &'static str {
    match err {
        CommitPlanError::Carry(CarryError::Commit(_)) => "\nhelp: commit the plan again; what was stored of it is known and stays as it is",
        CommitPlanError::Carry(CarryError::Amend(AmendError::Sealed { .. })) => "\nhelp: add --approval NAME",
        _ => "",
    }
}

const fn amend_code(err: &AmendError) -> ExitCode {
    match err {
        AmendError::Sealed { .. } | AmendError::Unaccounted => ExitCode::DataRefused,
        _ => ExitCode::DependencyDown,
    }
}

fn listed(args: &Imports) -> Done {
    let reader = Reader::open(&args.store).map_err(|err| (format!("error: {}", daemon::chain(&err)), serve::exit_code_of(&err)))?;
    let imports = imports(&reader);
    let text = match args.output {
        Output::Human => human::list(&imports),
        Output::Json => json!({ "schema": "negawatt.imports/1", "imports": imports }).to_string(),
    };
    Ok((text, ExitCode::Ok))
}

fn undone(args: &Imports, id: &str, account: &AccountArgs) -> Done {
    let store = open(&args.store)?;
    let AccountArgs { actor, reason, approval } = account.clone();
    let reason = reason.unwrap_or_else(|| "import undone".to_owned());
    let options = UndoOptions { actor, reason, approval, now: SystemClock.now() };
    let undone = undo(&store, id, &options).map_err(|err| {
        let (code, help) = match &err {
            UndoError::Open(open) => (serve::exit_code_of(open), ""),
            UndoError::Amend(AmendError::Sealed { .. }) => (ExitCode::DataRefused, "\nhelp: add --approval NAME"),
            UndoError::Amend(err) => (amend_code(err), ""),
            UndoError::Segment(_) | UndoError::Flush(_) => (ExitCode::DependencyDown, ""),
            UndoError::Unknown { .. } | UndoError::Several { .. } => (ExitCode::Usage, ""),
            _ => (ExitCode::DataRefused, ""),
        };
        (format!("error: {}{help}", daemon::chain(&err)), code)
    })?;
    let text = match args.output {
        Output::Human => human::undone(&undone),
        Output::Json => json!({ "schema": "negawatt.import.undone/1", "import": undone }).to_string(),
    };
    Ok((text, ExitCode::Ok))
}

/// The store, for this process alone.
fn open(dir: &Path) -> Result<Store, (String, ExitCode)> {
    Store::open(dir, Options::default()).map_err(|err| {
        let help = match err {
            OpenError::InUse { .. } => "\nhelp: while a collector runs, ask it: POST /v1/imports/files, /v1/imports/plans, /v1/imports/plans/ID/commit, /v1/imports/ID/undo",
            _ => "",
        };
        (format!("error: {}{help}", daemon::chain(&err)), serve::exit_code_of(&err))
    })
}
