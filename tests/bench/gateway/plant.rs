//! What is polled: devices of 123 floats in two blocks, on so many TCP buses.

use std::net::SocketAddr;
use std::path::Path;

/// Floats of a device, in the blocks they are read in. The lengths differ, as of all neighbouring reads.
pub(super) const BLOCKS: [(u16, u16); 2] = [(0, 62), (1_000, 61)];

/// Buses and devices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plant {
    pub(super) buses: usize,
    pub(super) devices_per_bus: usize,
}

impl Plant {
    pub(super) const fn buses(buses: usize, devices_per_bus: usize) -> Self {
        Self { buses, devices_per_bus }
    }

    pub(super) const fn devices(self) -> usize {
        self.buses * self.devices_per_bus
    }

    /// The `[[bus]]` tables of a gateway's configuration.
    pub(super) fn tables(self, addresses: &[SocketAddr], profile: &str) -> String {
        let mut text = String::new();
        for (bus, address) in addresses.iter().take(self.buses).enumerate() {
            // They speak TCP themselves: no serial line behind the address, whose silences would be waited for.
            let head =
                format!("[[bus]]\nname = \"bus-{bus}\"\nkind = \"tcp\"\naddress = \"{address}\"\nphase = \"0s\"\nconverter = false\n");
            text.push_str(&head);
            for unit in 1..=self.devices_per_bus {
                let device = format!("[[bus.device]]\nid = \"device-{bus}-{unit}\"\nunit = {unit}\nprofile = \"{profile}\"\n");
                text.push_str(&device);
            }
        }
        text
    }
}

/// Writes the profile of such a device into a folder.
pub(super) fn write_profile(folder: &Path) -> std::io::Result<()> {
    let mut points = String::new();
    for (start, floats) in BLOCKS {
        for float in 0..floats {
            let address = start + 2 * float;
            let point = format!("  {{ id = \"v{address}\", address = {address}, type = \"f32\", unit = \"V\", resolution = \"0.1\" }},\n");
            points.push_str(&point);
        }
    }
    let text = format!(
        "id = \"analyser\"\nmanufacturer = \"bench\"\nproducts = [\"123 floats\"]\nkind = \"power-meter\"\nphases = 3\n\
         source = [\"the bench\"]\nconfidence = \"high\"\nconflicts = []\nnotes = []\ntable = \"input\"\nword_order = \"high-first\"\n\
         read = {{ max_registers = 125, bridge = 0, align = 2 }}\nserial = {{ baud = 9600, parity = \"none\", stop_bits = 1 }}\n\
         unit_id = 1\npoint = [\n{points}]\n[[vector]]\npoint = \"v0\"\nwords = [0x4366, 0x199A]\nvalue = \"230.1\"\n"
    );
    std::fs::write(folder.join("analyser.toml"), text)
}
