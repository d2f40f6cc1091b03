//! Dates and times in registers, as seconds since 1970 by the device's own clock.
//!
//! A device's clock knows no zone, so neither does the number. Years are those of this century: no such meter is older.

const CENTURY: i64 = 2000;
const DAY: i64 = 86_400;

/// Year of the century, month and day; or hour, minute and second.
type Triple = (i64, i64, i64);

/// Year of the century (bits 0 to 6 of the first register), month (8 to 11 of the second) and day (0 to 4), hour (8 to 12 of the
/// third) and minute (0 to 5), milliseconds of the minute (fourth). Weekday and flag bits are left aside.
///
/// Source: the DATETIME type that Schneider's PM5000 and iEM3000 register lists print.
pub(super) fn of_iec(bits: u64) -> Option<i64> {
    let field = |shift: u32, mask: u64| i64::try_from((bits >> shift) & mask).ok();
    let milliseconds = field(0, 0xFFFF)?;
    let date = (field(48, 0x7F)?, field(40, 0xF)?, field(32, 0x1F)?);
    let invalid_flag = (bits >> 23) & 1 == 1;
    if invalid_flag || milliseconds >= 60_000 {
        return None;
    }
    seconds(date, (field(24, 0x1F)?, field(16, 0x3F)?, milliseconds / 1000))
}

pub(super) fn iec(seconds: i64) -> Option<u64> {
    let ((year, month, day), (hour, minute, second)) = civil(seconds, 127)?;
    let bits = (year << 48) | (month << 40) | (day << 32) | (hour << 24) | (minute << 16) | (second * 1000);
    u64::try_from(bits).ok()
}

/// One byte for each of year of the century, month, day, hour, minute and second.
///
/// Source: the date and time registers at 0x8A00 in ABB's B23/B24 manual.
pub(super) fn of_bytes(bits: u64) -> Option<i64> {
    let [_, _, year, month, day, hour, minute, second] = bits.to_be_bytes().map(i64::from);
    (year <= 99).then_some(())?;
    seconds((year, month, day), (hour, minute, second))
}

pub(super) fn bytes(seconds: i64) -> Option<u64> {
    let ((year, month, day), (hour, minute, second)) = civil(seconds, 99)?;
    u64::try_from((year << 40) | (month << 32) | (day << 24) | (hour << 16) | (minute << 8) | second).ok()
}

/// Seconds since 1970 of a date and a time, where both exist.
fn seconds((year, month, day): Triple, (hour, minute, second): Triple) -> Option<i64> {
    let year = CENTURY + year;
    let exists = (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day) && hour < 24 && minute < 60 && second < 60;
    exists.then(|| days(year, month, day) * DAY + hour * 3600 + minute * 60 + second)
}

/// The date, with the year of the century, and the time of a number of seconds since 1970.
fn civil(seconds: i64, years: i64) -> Option<(Triple, Triple)> {
    let (mut left, of_day) = (seconds.div_euclid(DAY) - days(CENTURY, 1, 1), seconds.rem_euclid(DAY));
    if left < 0 || left > 366 * (years + 1) {
        return None;
    }
    let (mut year, mut month) = (CENTURY, 1);
    while left >= month_days(year, month) {
        left -= month_days(year, month);
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
    (year - CENTURY <= years).then_some(((year - CENTURY, month, left + 1), (of_day / 3600, of_day / 60 % 60, of_day % 60)))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, from 1970 on.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap_days = |before: i64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    let of_years = (year - 1970) * 365 + leap_days(year) - leap_days(1970);
    of_years + (1..month).map(|month| month_days(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // 2026-11-21 08:38:13 is 1795250293 seconds after 1970-01-01 00:00:00 (date -u -d).
        let iec_bits = (26 << 48) | (11 << 40) | (21 << 32) | (8 << 24) | (38 << 16) | 13_000;
        assert_eq!(of_iec(iec_bits), Some(1_795_250_293));
        assert_eq!(of_iec(iec_bits | (6 << 37)), Some(1_795_250_293), "the weekday is left aside");
        assert_eq!(of_bytes(0x1A0B_1508_260D), Some(1_795_250_293));
        assert_eq!(bytes(1_795_250_293), Some(0x1A0B_1508_260D));
        assert_eq!(iec(1_795_250_293), Some(iec_bits));
    }

    #[test]
    fn what_is_no_date_is_no_number() {
        for bits in [0_u64, 0x1A0D_0101_0000, 0x1A02_1D00_0000, 0x1A01_0118_0000, 0x6401_0101_0000, 0xFFFF_FFFF_FFFF] {
            assert_eq!(of_bytes(bits), None, "{bits:x}");
        }
        assert!(of_bytes(0x1802_1D00_0000).is_some(), "2024 had a 29 February");
        assert_eq!(of_iec(u64::MAX), None);
        assert_eq!(of_iec((26 << 48) | (1 << 40) | (1 << 32) | (1 << 23)), None, "the device says that its clock is wrong");
        assert_eq!((iec(0), bytes(-1)), (None, None));
        assert_eq!(bytes(4_102_444_800), None, "the year 2100");
    }
}
