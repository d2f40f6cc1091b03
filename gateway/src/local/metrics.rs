//! `GET /metrics`, in Prometheus' text format.

use std::fmt::{Display, Write};

use crate::status::StatusSnapshot;

pub(super) fn render(now: &StatusSnapshot) -> String {
    let mut page = Page::default();
    page.counter("sweeps_total", "Sweeps over all devices.", now.sweeps);
    page.counter("sweeps_missed_total", "Sweeps that were due and did not happen.", now.sweeps_missed);
    page.counter("points_polled_total", "Points asked for: one quantity of one device at one time.", now.points_polled);
    page.counter("points_failed_total", "Those of them without a usable value.", now.points_failed);
    page.counter("points_acknowledged_total", "Points whose frame the collector confirmed.", now.points_acknowledged);
    page.counter("frames_committed_total", "Frames made durable here.", now.frames_committed);
    page.counter("frames_refused_total", "Frames that neither disk nor memory could keep.", now.frames_refused);
    page.counter("frames_dropped_total", "Frames dropped from a full spool before the collector had them.", now.frames_dropped);
    page.counter("frames_sent_total", "Frames handed to the broker, repetitions included.", now.frames_sent);
    page.counter("frames_resent_total", "Frames handed to the broker again.", now.frames_resent);
    page.gauge("backlog_frames", "Frames that the collector has not confirmed.", now.backlog);
    page.counter("spool_points_left_out_total", "Points left out of frames in a full spool.", now.points_left_out);
    page.gauge("spool_damaged", "Damaged stretches found in the spool.", now.spool_damaged);
    page.gauge("spool_bytes", "Bytes of the spool on disk.", now.spool_bytes);
    page.gauge("spool_bytes_max", "Disk allowance of the spool.", now.spool_bytes_max);
    page.gauge("spool_alarm_percent", "The alarm that holds: 50, 80 or 95; 0 for none.", now.spool_alarm);
    page.gauge("spool_faulty", "1 while readings cannot be kept on disk.", u8::from(now.spool_fault.is_some()));
    page.gauge("broker_connected", "1 when connected.", u8::from(now.connected));
    page.gauge("config_version", "Version of the configuration that came by command; 0 for the own file.", now.config_version);
    page.gauge("config_trial", "1 while that configuration is on trial.", u8::from(now.config_trial));
    page.text
}

#[derive(Debug, Default)]
struct Page {
    text: String,
}

impl Page {
    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "counter", help, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.metric(name, "gauge", help, value);
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        let name = format_args!("negawatt_gateway_{name}");
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").expect("a string takes every line");
    }
}
