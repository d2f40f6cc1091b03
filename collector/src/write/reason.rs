//! Why a line is refused.

/// The code stands in answers and dead letters; operators search for it, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Syntax,
    NoField,
    Backslash,
    Quote,
    Utf8,
    DuplicateKey,
    Value,
    NoTime,
    Time,
    Boolean,
    Text,
    Range,
    ClockWindow,
    Precision,
    Tenant,
    Facility,
    Device,
    Point,
    Name,
    Tag,
    Unit,
    Field,
    TenantSeries,
}

impl Reason {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 23] = [
        Self::Syntax,
        Self::NoField,
        Self::Backslash,
        Self::Quote,
        Self::Utf8,
        Self::DuplicateKey,
        Self::Value,
        Self::NoTime,
        Self::Time,
        Self::Boolean,
        Self::Text,
        Self::Range,
        Self::ClockWindow,
        Self::Precision,
        Self::Tenant,
        Self::Facility,
        Self::Device,
        Self::Point,
        Self::Name,
        Self::Tag,
        Self::Unit,
        Self::Field,
        Self::TenantSeries,
    ];

    /// The code, and what is wrong.
    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Syntax => ("syntax", "is no line protocol"),
            Self::NoField => ("no_field", "has no field with a reading"),
            Self::Backslash => ("backslash", "has a backslash before another one or at its end, of which servers make different things"),
            Self::Quote => ("quote", "has a quote that is never closed"),
            Self::Utf8 => ("utf8", "is not UTF-8"),
            Self::DuplicateKey => ("duplicate_key", "names a tag or a field twice"),
            Self::Value => ("value", "has a value that is no number"),
            Self::NoTime => ("no_time", "has no time, and when it arrived is not when it was measured"),
            Self::Time => ("time", "has a time that is no whole number"),
            Self::Boolean => {
                ("boolean", "has a boolean, which is no reading: make it a number, or name the field in write.point as ignored")
            }
            Self::Text => ("text", "has a text, which is no reading: name the field in write.point as ignored"),
            Self::Range => ("range", "has a number beyond what is kept: give the field another exponent in write.point"),
            Self::ClockWindow => ("clock_window", "has a time in the future"),
            Self::Precision => ("precision", "has a time before the year 2000: is the precision of the request right?"),
            Self::Tenant => ("tenant", "has a tag tenant that is not the organisation of the request"),
            Self::Facility => ("facility", "has a tag facility that is not the bucket of the request"),
            Self::Device => ("device", "has none of the tags that name a device: add one, or name another in write.device_tags"),
            Self::Point => ("point", "has several fields and a tag point, which names one"),
            Self::Name => {
                ("name", "has a name that is not lower-case letters, digits, `_`, `-` and `.`: give the field a point in write.point")
            }
            Self::Tag => ("tag", "has a tag that is not known: name it in write.point_tags or write.ignored_tags"),
            Self::Unit => ("unit", "has a field whose unit is not known: add a tag unit, or name it in write.point"),
            Self::Field => ("field", "has a field that a line of this measurement does not have"),
            Self::TenantSeries => (
                "tenant_series",
                "has a series more than the quota of the tenant: others have to rest for a day, or the quota to be raised",
            ),
        }
    }

    pub(crate) const fn code(self) -> &'static str {
        self.told().0
    }

    pub(crate) const fn text(self) -> &'static str {
        self.told().1
    }

    /// Whether the line is none, rather than one that we cannot use.
    pub(crate) const fn is_malformed(self) -> bool {
        matches!(
            self,
            Self::Syntax
                | Self::NoField
                | Self::Backslash
                | Self::Quote
                | Self::Utf8
                | Self::DuplicateKey
                | Self::Value
                | Self::NoTime
                | Self::Time
        )
    }
}
