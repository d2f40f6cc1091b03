//! Why a message, or a part of it, is a dead letter.

/// The code is part of the interface: operators search for it, and `INGEST.md` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Topic,
    Size,
    Envelope,
    Frame,
    Json,
    Schema,
    Identity,
    Sequence,
    Reading,
    Point,
    Name,
    Unit,
    Exponent,
    Value,
    Range,
    Time,
    ClockWindow,
    Rate,
    TenantRate,
    TenantSeries,
}

impl Refusal {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 20] = [
        Self::Topic,
        Self::Size,
        Self::Envelope,
        Self::Frame,
        Self::Json,
        Self::Schema,
        Self::Identity,
        Self::Sequence,
        Self::Reading,
        Self::Point,
        Self::Name,
        Self::Unit,
        Self::Exponent,
        Self::Value,
        Self::Range,
        Self::Time,
        Self::ClockWindow,
        Self::Rate,
        Self::TenantRate,
        Self::TenantSeries,
    ];

    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Size => "size",
            Self::Envelope => "envelope",
            Self::Frame => "frame",
            Self::Json => "json",
            Self::Schema => "schema",
            Self::Identity => "identity",
            Self::Sequence => "sequence",
            Self::Reading => "reading",
            Self::Point => "point",
            Self::Name => "name",
            Self::Unit => "unit",
            Self::Exponent => "exponent",
            Self::Value => "value",
            Self::Range => "range",
            Self::Time => "time",
            Self::ClockWindow => "clock_window",
            Self::Rate => "rate",
            Self::TenantRate => "tenant_rate",
            Self::TenantSeries => "tenant_series",
        }
    }
}
