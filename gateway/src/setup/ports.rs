//! Serial ports by where they are plugged in.
//!
//! `/dev/ttyUSB0` is whichever adapter was seen first, and adapters of one make cannot be told apart by name. What stays the same is
//! the socket: `/dev/serial/by-path`. The kernel's own tree says what chip sits there. Nothing is opened to list them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// A serial port of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SerialPort {
    /// What to write into a configuration: the name by position where there is one.
    pub path: PathBuf,
    /// The device file behind it.
    pub device: PathBuf,
    /// What the chip says it is: `FTDI FT232R USB UART (0403:6001)`.
    pub chip: Option<String>,
    /// The kernel's driver: `ftdi_sio`.
    pub driver: Option<String>,
    /// For how long the adapter keeps answers back, where it says so; more than 1 ms slows every exchange.
    pub latency_ms: Option<u32>,
}

/// Every port that has hardware behind it, ordered by position.
///
/// * Shape: `root` is the root of the file system, `/` but in tests.
#[must_use]
pub fn serial_ports(root: &Path) -> Vec<SerialPort> {
    let by_path = positions(&root.join("dev/serial/by-path"));
    let Ok(entries) = fs::read_dir(root.join("sys/class/tty")) else { return Vec::new() };
    let mut ports: Vec<SerialPort> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let device = fs::canonicalize(entry.path().join("device")).ok()?;
            let driver = fs::canonicalize(device.join("driver")).ok().and_then(|path| file_name(&path));
            // Ports of the board that nobody soldered are listed too: the kernel calls their type 0.
            let is_absent = text(&entry.path().join("type")).is_some_and(|kind| kind == "0");
            if is_absent {
                return None;
            }
            let file = root.join("dev").join(&name);
            let position = by_path.iter().find(|(_, target)| *target == name).map(|(link, _)| link.clone());
            let latency_ms = text(&device.join("latency_timer")).and_then(|text| text.parse().ok());
            Some(SerialPort { path: position.unwrap_or_else(|| file.clone()), device: file, chip: chip(&device), driver, latency_ms })
        })
        .collect();
    ports.sort_by(|a, b| a.path.cmp(&b.path));
    ports
}

/// Links by position and the name of the device file each leads to.
fn positions(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut links: Vec<(PathBuf, String)> =
        entries.filter_map(|entry| Some((entry.path(), file_name(&fs::read_link(entry.path()).ok()?)?))).collect();
    links.sort();
    links
}

/// What the nearest USB device above says of itself.
fn chip(device: &Path) -> Option<String> {
    let usb = device.ancestors().take(8).find(|folder| folder.join("idVendor").is_file())?;
    let vendor = text(&usb.join("idVendor"))?;
    let product = text(&usb.join("idProduct"))?;
    let words: Vec<String> = ["manufacturer", "product"].iter().filter_map(|name| text(&usb.join(name))).collect();
    Some(format!("{} ({vendor}:{product})", if words.is_empty() { "USB adapter".to_owned() } else { words.join(" ") }))
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn ports_are_named_by_position_and_chip() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let usb = root.join("sys/devices/usb1/1-2");
        write(&usb.join("idVendor"), "0403\n");
        write(&usb.join("idProduct"), "6001\n");
        write(&usb.join("manufacturer"), "FTDI\n");
        write(&usb.join("product"), "FT232R USB UART\n");
        let tty = usb.join("1-2:1.0/ttyUSB0");
        write(&tty.join("latency_timer"), "16\n");
        fs::create_dir_all(root.join("sys/bus/ftdi_sio")).unwrap();
        symlink(root.join("sys/bus/ftdi_sio"), tty.join("driver")).unwrap();
        for (name, device) in [("ttyUSB0", Some(&tty)), ("tty0", None)] {
            fs::create_dir_all(root.join("sys/class/tty").join(name)).unwrap();
            if let Some(device) = device {
                symlink(device, root.join("sys/class/tty").join(name).join("device")).unwrap();
            }
        }
        let board = root.join("sys/devices/platform/serial8250");
        fs::create_dir_all(&board).unwrap();
        for (name, kind) in [("ttyS0", "4\n"), ("ttyS1", "0\n")] {
            write(&root.join("sys/class/tty").join(name).join("type"), kind);
            symlink(&board, root.join("sys/class/tty").join(name).join("device")).unwrap();
        }
        let link = root.join("dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0");
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("../../ttyUSB0", &link).unwrap();

        let ports = serial_ports(root);
        assert_eq!(ports.len(), 2, "{ports:?}");
        let adapter = ports.iter().find(|port| port.path == link).unwrap();
        assert_eq!(adapter.device, root.join("dev/ttyUSB0"));
        assert_eq!(adapter.chip.as_deref(), Some("FTDI FT232R USB UART (0403:6001)"));
        assert_eq!((adapter.driver.as_deref(), adapter.latency_ms), (Some("ftdi_sio"), Some(16)));
        assert!(ports.iter().any(|port| port.path == root.join("dev/ttyS0") && port.chip.is_none()));
    }

    #[test]
    fn a_machine_without_ports_has_none() {
        assert_eq!(serial_ports(tempfile::tempdir().unwrap().path()), []);
    }
}
