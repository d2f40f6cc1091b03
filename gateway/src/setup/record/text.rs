//! The record as people read and print it.

use super::Record;
use crate::setup::State;

impl Record {
    /// The whole record as text, 100 columns at most where its contents allow.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("Commissioning record: {}", verdict(self.verdict())),
            String::new(),
            format!("work order   {}", self.work_order),
            format!("technician   {}", self.technician),
            format!("made at      {} with {}", self.made_at, self.program),
            format!("device       {} of {}", self.device, self.gateway),
            format!("reached at   {} unit {}", self.url, self.unit),
            format!("profile      {} ({})", self.profile, self.profile_hash),
            format!("reads        {}", self.points.join(" ")),
        ];
        lines.extend(self.known.iter().map(|(what, told)| format!("told         {what}: {told}")));
        if let Some(plate) = &self.identity.sunspec {
            lines.push(format!("nameplate    {} {} serial {}", plate.manufacturer, plate.model, plate.serial));
        }
        lines.extend(self.identity.texts.iter().map(|(id, text)| format!("in registers {id}: {text}")));
        if !self.identity.objects.is_empty() {
            lines.push(format!("says         {}", self.identity.objects.join(", ")));
        }
        if let Some(latency) = &self.latency {
            lines.push(format!(
                "answers      p50 {} ms, p99 {} ms, {} of {} failed; timeout {} ms, gap {} ms, blocks up to {} registers",
                latency.p50_ms, latency.p99_ms, latency.failed, latency.reads, latency.timeout_ms, latency.gap_ms, latency.largest_block
            ));
            lines.push(format!(
                "bus          {} ms for one reading; {} % busy now, {} % with 32 such meters",
                latency.reading_ms, latency.busy_percent, latency.busy_percent_32
            ));
        }
        lines.push(String::new());
        lines.extend(self.findings.iter().map(crate::setup::Finding::text));
        if let (Some(first), Some(last)) = (self.samples.first(), self.samples.last()) {
            lines.push(String::new());
            lines.push(format!(
                "{:<16} {:>16} {:>16}  words at the end",
                "point",
                first.at.strftime("%H:%M:%S"),
                last.at.strftime("%H:%M:%S")
            ));
            for point in &last.points {
                let before = first.points.iter().find(|other| other.point == point.point).and_then(|point| point.value.as_deref());
                let (before, after) = (before.unwrap_or("-"), point.value.as_deref().unwrap_or("-"));
                lines.push(format!("{:<16} {before:>16} {after:>16}  {}", point.point, point.words));
            }
        }
        lines.join("\n")
    }
}

fn verdict(state: State) -> &'static str {
    match state {
        State::Green => "everything is as it must be",
        State::Amber => "usable, with something to look at",
        State::Red => "NOT fit for billing",
        State::Grey => "nothing could be judged",
    }
}
