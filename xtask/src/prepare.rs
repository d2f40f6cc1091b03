//! Installing what the tests need and this machine does not have.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::program::{Failure, cargo, is_installed, output, run, say, works};

/// Programs that the peers tests start, and their Debian packages.
const PROGRAMS: [(&str, &str); 8] = [
    ("influxd", "influxdb"),
    ("mosquitto", "mosquitto"),
    ("mbpoll", "mbpoll"),
    ("victoria-metrics", "victoria-metrics"),
    ("pdftotext", "poppler-utils"),
    ("promtool", "prometheus"),
    ("qpdf", "qpdf"),
    ("pg_ctlcluster", "postgresql"),
];

/// Those of them that Debian starts as services.
const SERVICES: [&str; 5] = ["influxdb", "mosquitto", "postgresql", "prometheus", "victoria-metrics"];

/// Folders of Python packages of the peers tests, with the versions they are written for. sdm_modbus needs an older pymodbus than the
/// one that our other tests are about.
const PYTHON_PACKAGES: [(&str, &[&str]); 2] = [
    (
        "peers-venv",
        &["pymodbus==3.16.1", "pyserial==3.5", "minimalmodbus==2.1.1", "pysunspec2==1.3.7", "influxdb-client==1.50.0", "pyarrow==26.0.1"],
    ),
    ("peers-venv-sdm", &["sdm_modbus==0.7.0", "pymodbus==3.6.9", "pyserial==3.5", "pyserial-asyncio==0.6"]),
];

/// Packages of the peers tests for Node, with the versions they are written for. Of aedes, the second speaks MQTT 5.
const NODE_PACKAGES: [&str; 2] = ["modbus-serial@8.0.25", "aedes@2.0.0-beta.1"];

/// Installs whatever is absent. What is there is left alone.
pub(crate) fn peers() -> Result<(), Failure> {
    programs()?;
    for (folder, packages) in PYTHON_PACKAGES {
        python(folder, packages)?;
    }
    node()
}

/// Of these, the programs of Debian.
pub(crate) fn programs() -> Result<(), Failure> {
    let absent: Vec<&str> = PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect();
    if absent.is_empty() {
        return Ok(());
    }
    debian_packages(&absent)?;
    stop_services(&absent)
}

/// Installing a daemon's package starts it with the machine. The tests start their own, on ports of their own.
fn stop_services(installed: &[&str]) -> Result<(), Failure> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    for service in installed.iter().filter(|package| SERVICES.contains(package)) {
        run(as_root("systemctl").args(["disable", "--now", "--quiet", service]))?;
    }
    Ok(())
}

fn debian_packages(packages: &[&str]) -> Result<(), Failure> {
    let list = packages.join(" ");
    if !is_installed("apt-get") {
        return Err(Failure::new(format!("the tests need {list}, and this machine has no apt-get: install them by its own means")));
    }
    say(&format!("installing the Debian packages {list}, which the peers tests start and end by themselves"));
    // The package list of a new machine may be absent or old, and a mirror may be busy: once more, and then it is told.
    let install = || run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages));
    run(apt_get().arg("update")).and_then(|()| install()).or_else(|failure| {
        say(&format!("{failure}; trying once more"));
        run(apt_get().arg("update")).and_then(|()| install())
    })
}

/// apt-get, which asks nothing.
fn apt_get() -> Command {
    let mut command = as_root("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// A program as root, which asks for no password.
fn as_root(program: &str) -> Command {
    let is_root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if is_root {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", "--preserve-env=DEBIAN_FRONTEND", program]);
    sudo
}

/// A virtual environment in the target folder, where the peers tests look for it.
fn python(folder: &str, packages: &[&str]) -> Result<(), Failure> {
    let folder = target_dir()?.join(folder);
    let python = folder.join("bin/python");
    if has_packages(&python, packages) {
        return Ok(());
    }
    say(&format!("installing {} into {}", packages.join(" "), folder.display()));
    if !works(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)) {
        debian_packages(&["python3", "python3-venv"])?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    }
    let install = || run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages));
    install().or_else(|failure| {
        say(&format!("{failure}; trying once more"));
        install()
    })
}

/// Packages of the published program that fits are compared with, with the versions that its results were made with.
const EEMETER: [&str; 5] = ["eemeter==2.10.11", "numpy==1.24.4", "pandas==1.5.3", "scipy==1.10.1", "statsmodels==0.14.1"];

/// Pythons that these versions run in, the one of the published results first.
const EEMETER_PYTHONS: [&str; 4] = ["3.8", "3.11", "3.10", "3.9"];

/// A virtual environment with eemeter 2.10.11; gives its Python.
///
/// Where CPython 3.8 is not to be had, the newest version that these packages run in is taken; the bench names it.
pub(crate) fn eemeter() -> Result<PathBuf, Failure> {
    let folder = target_dir()?.join("eemeter-venv");
    let python = folder.join("bin/python");
    if has_packages(&python, &EEMETER) {
        return Ok(python);
    }
    let found = EEMETER_PYTHONS.iter().find_map(|version| python_of(version)).ok_or_else(|| {
        Failure::new(format!("eemeter 2.10.11 runs in Python {}, and none of them is here: install one", EEMETER_PYTHONS.join(", ")))
    })?;
    say(&format!("installing {} into {} with {}", EEMETER.join(" "), folder.display(), found.display()));
    run(Command::new(&found).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let install = || run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(EEMETER));
    install().or_else(|failure| {
        say(&format!("{failure}; trying once more"));
        install()
    })?;
    Ok(python)
}

/// A Python of this version: on the path, or kept by pyenv.
fn python_of(version: &str) -> Option<PathBuf> {
    let name = format!("python{version}");
    let starts = |python: &Path| works(Command::new(python).args(["-c", "import venv"]));
    let on_path = PathBuf::from(&name);
    if is_installed(&name) && starts(&on_path) {
        return Some(on_path);
    }
    let home =
        std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")))?;
    let mut versions: Vec<PathBuf> = std::fs::read_dir(home.join("versions")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort();
    let of_version = |folder: &PathBuf| folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{version}.")));
    versions.iter().rev().filter(|folder| of_version(folder)).map(|folder| folder.join("bin").join(&name)).find(|python| starts(python))
}

fn has_packages(python: &Path, packages: &[&str]) -> bool {
    let check = packages.iter().map(|package| match package.split_once("==") {
        Some((name, version)) => format!("assert version({name:?}) == {version:?}"),
        None => format!("version({package:?})"),
    });
    let program = format!("from importlib.metadata import version; {}", check.collect::<Vec<_>>().join("; "));
    python.is_file() && works(Command::new(python).args(["-c", &program]))
}

/// A folder of Node packages in the target folder, where the peers tests look for it.
fn node() -> Result<(), Failure> {
    let folder = target_dir()?.join("peers-node");
    if NODE_PACKAGES.iter().all(|package| has_package(&folder, package)) {
        return Ok(());
    }
    if !is_installed("npm") || !is_installed("node") {
        debian_packages(&["nodejs", "npm"])?;
    }
    say(&format!("installing {} into {}", NODE_PACKAGES.join(" "), folder.display()));
    let install =
        || run(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).args(NODE_PACKAGES));
    std::fs::create_dir_all(&folder).map_err(|err| Failure::new(format!("{}: {err}", folder.display())))?;
    install().or_else(|failure| {
        say(&format!("{failure}; trying once more"));
        install()
    })
}

/// Whether a folder has a package in this version.
fn has_package(folder: &Path, package: &str) -> bool {
    let Some((name, version)) = package.rsplit_once('@') else { return false };
    let text = std::fs::read_to_string(folder.join("node_modules").join(name).join("package.json")).unwrap_or_default();
    serde_json::from_str::<Value>(&text).is_ok_and(|manifest| manifest.get("version").and_then(Value::as_str) == Some(version))
}

/// Where cargo builds.
pub(crate) fn target_dir() -> Result<PathBuf, Failure> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|err| Failure::new(format!("cargo metadata is not JSON: {err}")))?;
    let folder = metadata.get("target_directory").and_then(Value::as_str);
    folder.map(PathBuf::from).ok_or_else(|| Failure::new("cargo metadata names no target directory"))
}
