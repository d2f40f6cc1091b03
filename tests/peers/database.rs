//! PostgreSQL, from the Debian package.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer::{Peer, run};

/// Whoever is not root, as which it does not run.
const NOBODY: u32 = 65_534;

/// A program of the Debian package, which lies in a folder of its version.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    versions.sort();
    let found = versions.pop().map(|version| version.join("bin").join(name)).filter(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("`{name}` is not on this machine: install the Debian package `postgresql`, or let `cargo xtask test` do it")
    })
}

fn unprivileged(command: &mut Command, folder: &Path) {
    if folder.metadata().unwrap().uid() == NOBODY {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// A database of its own in a folder, as whoever may run it.
pub(crate) struct Database {
    pub(crate) address: SocketAddr,
    data: PathBuf,
    log: PathBuf,
}

impl Database {
    pub(crate) fn new(folder: &Path) -> Self {
        let data = folder.join("data");
        if folder.metadata().unwrap().uid() == 0 {
            chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut init = Command::new(program("initdb"));
        init.args(["--username=negawatt", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]).arg(&data).current_dir("/");
        unprivileged(&mut init, folder);
        let done = run(&mut init);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { address, data, log: folder.join("postgres.log") }
    }

    pub(crate) fn start(&self) -> Peer {
        let mut command = Command::new(program("postgres"));
        command.arg("-D").arg(&self.data).args(["-p", &self.address.port().to_string(), "-c", "listen_addresses=127.0.0.1"]);
        command.args(["-c", "unix_socket_directories=", "-c", "shared_buffers=16MB"]).current_dir("/");
        unprivileged(&mut command, self.data.parent().unwrap());
        let mut peer = Peer::start(&mut command, &self.log);
        peer.listening(self.address);
        peer
    }

    /// What `psql` prints.
    pub(crate) fn ask(&self, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string(), "-U", "negawatt", "-d", "postgres", "-AtX", "-c", sql]);
        let done = run(&mut psql);
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }
}
