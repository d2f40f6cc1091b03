//! How figures and days are written.

use jiff::civil::Date;
use money::Share;
use settlement::Period;
use units::Energy;

/// Watt-hours as exact kilowatt-hours: `-1234.567`.
pub(crate) fn kwh(energy: Energy) -> String {
    let wh = energy.as_wh();
    let (sign, size) = (if wh < 0 { "-" } else { "" }, wh.unsigned_abs());
    format!("{sign}{}.{:03}", size / 1000, size % 1000)
}

/// Watt-hours of an axis as kilowatt-hours without needless zeros: `2.5`.
pub(crate) fn short_kwh(wh: i64) -> String {
    let text = kwh(Energy::wh(wh));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Parts per million as `90 %`.
pub(crate) fn percent(ppm: u32) -> String {
    Share::parts_per_million(ppm).map_or_else(|_beyond| format!("{ppm} parts per million"), |share| share.to_string())
}

/// Grams as exact kilograms: `1234.567`.
pub(crate) fn kg(grams: i64) -> String {
    kwh(Energy::wh(grams))
}

/// Parts per million of full trust as a score of a hundred: `87.31`.
pub(crate) fn score(ppm: u32) -> String {
    let hundredths = (ppm + 50) / 100;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A day as `1 July 2026`.
pub(crate) fn day(date: Date) -> String {
    format!("{} {} {}", date.day(), month(date), date.year())
}

/// The days of a period, the last included: `1 to 31 July 2026`.
pub(crate) fn period(period: Period) -> String {
    let (first, last) = (period.first(), period.end().yesterday().unwrap_or(period.first()));
    match () {
        () if first == last => day(first),
        () if (first.year(), first.month()) == (last.year(), last.month()) => format!("{} to {}", first.day(), day(last)),
        () if first.year() == last.year() => format!("{} {} to {}", first.day(), month(first), day(last)),
        () => format!("{} to {}", day(first), day(last)),
    }
}

fn month(date: Date) -> &'static str {
    const NAMES: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    usize::try_from(date.month() - 1).ok().and_then(|index| NAMES.get(index)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn energy_is_exact() {
        assert_eq!(kwh(Energy::wh(-1_234_567)), "-1234.567");
        assert_eq!(kwh(Energy::wh(7)), "0.007");
        assert_eq!(kwh(Energy::wh(i64::MIN)), "-9223372036854775.808");
        assert_eq!((short_kwh(2_500), short_kwh(20_000), short_kwh(0)), ("2.5".to_owned(), "20".to_owned(), "0".to_owned()));
    }

    #[test]
    fn a_score_is_of_a_hundred_and_produce_is_exact() {
        assert_eq!(
            (score(1_000_000), score(400_000), score(873_149), score(50)),
            ("100.00".into(), "40.00".into(), "87.31".into(), "0.01".into())
        );
        assert_eq!(kg(12_345_678), "12345.678");
    }

    #[test]
    fn days_read_as_people_say_them() {
        let of = |first, end| period(Period::new(first, end).unwrap());
        assert_eq!(of(date(2026, 7, 1), date(2026, 8, 1)), "1 to 31 July 2026");
        assert_eq!(of(date(2026, 7, 1), date(2026, 7, 2)), "1 July 2026");
        assert_eq!(of(date(2026, 7, 15), date(2026, 8, 15)), "15 July to 14 August 2026");
        assert_eq!(of(date(2026, 12, 1), date(2027, 2, 1)), "1 December 2026 to 31 January 2027");
    }

    #[test]
    fn shares_read_as_percent() {
        assert_eq!(
            (percent(900_000), percent(62_500), percent(2_000_000)),
            ("90 %".to_owned(), "6.25 %".to_owned(), "2000000 parts per million".to_owned())
        );
    }
}
