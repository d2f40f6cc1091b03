//! Which series a segment has, in one value of its row in the manifest.
//!
//! Thousands of short series in a facility would be thousands of rows for each flush: as bytes behind one another they are
//! six for a series, and the manifest is no longer larger than what it names.

use sqlx::{Row as _, SqliteConnection};

use crate::segment::Span;
use crate::series::SeriesId;
use crate::varint::{Input, put_varint, zigzag};

/// Of the bytes before it.
const CHECKSUM_BYTES: usize = 4;

/// The spans of a segment, each as what differs from the one before it, and CRC-32C over them.
pub(super) fn encode(spans: &[Span]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(spans.len() * 8 + CHECKSUM_BYTES);
    let mut put = |value: u64| put_varint(&mut bytes, value);
    let mut before = Before::default();
    for span in spans {
        put(zigzag(i64::from(span.series.0).wrapping_sub(before.series)));
        put(zigzag(span.first_row.wrapping_sub(before.next_row).cast_signed()));
        put(span.rows);
        put(zigzag(span.min_ts.wrapping_sub(before.min_ts)));
        put(zigzag(span.max_ts.wrapping_sub(before.max_ts)));
        before = Before::of(span);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Reads [`encode`]; `None` when it is not what was written.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Span>> {
    let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (mut input, mut spans, mut before) = (Input(bytes), Vec::new(), Before::default());
    while !input.0.is_empty() {
        let span = Span {
            series: SeriesId(u32::try_from(before.series.wrapping_add(input.zigzag()?)).ok()?),
            first_row: before.next_row.wrapping_add(input.zigzag()?.cast_unsigned()),
            rows: input.varint()?,
            min_ts: before.min_ts.wrapping_add(input.zigzag()?),
            max_ts: before.max_ts.wrapping_add(input.zigzag()?),
        };
        before = Before::of(&span);
        spans.push(span);
    }
    Some(spans)
}

#[derive(Default)]
struct Before {
    series: i64,
    next_row: u64,
    min_ts: i64,
    max_ts: i64,
}

impl Before {
    fn of(span: &Span) -> Self {
        Self {
            series: i64::from(span.series.0),
            next_row: span.first_row.wrapping_add(span.rows),
            min_ts: span.min_ts,
            max_ts: span.max_ts,
        }
    }
}

/// As the first versions kept them: a row for each series.
pub(super) async fn load_rows(db: &mut SqliteConnection) -> sqlx::Result<Vec<(i64, Span)>> {
    let statement = "SELECT segment, series, first_row, row_count, min_ts, max_ts FROM segment_series ORDER BY segment, series";
    let rows = sqlx::query(statement).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let span = Span {
                series: SeriesId(row.try_get(1)?),
                first_row: row.try_get::<i64, _>(2)?.cast_unsigned(),
                rows: row.try_get::<i64, _>(3)?.cast_unsigned(),
                min_ts: row.try_get(4)?,
                max_ts: row.try_get(5)?,
            };
            Ok((row.try_get(0)?, span))
        })
        .collect()
}

/// Takes over what the first versions kept.
pub(super) async fn migrate(db: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("ALTER TABLE segment ADD COLUMN spans BLOB NOT NULL DEFAULT x''").execute(&mut *db).await?;
    let rows = load_rows(&mut *db).await?;
    let segments: Vec<i64> = sqlx::query_scalar("SELECT id FROM segment").fetch_all(&mut *db).await?;
    for id in segments {
        let from = rows.partition_point(|(segment, _)| *segment < id);
        let spans: Vec<Span> = rows.iter().skip(from).take_while(|(segment, _)| *segment == id).map(|(_, span)| *span).collect();
        sqlx::query("UPDATE segment SET spans = ? WHERE id = ?").bind(encode(&spans)).bind(id).execute(&mut *db).await?;
    }
    sqlx::raw_sql("DROP TABLE segment_series").execute(db).await.map(|_| ())
}

/// Undoes [`migrate`].
#[cfg(test)]
pub(super) async fn make_old(db: &mut SqliteConnection) -> sqlx::Result<()> {
    let table = "CREATE TABLE segment_series (segment INTEGER NOT NULL REFERENCES segment (id), series INTEGER NOT NULL,
        first_row INTEGER NOT NULL, row_count INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL,
        PRIMARY KEY (segment, series)) STRICT, WITHOUT ROWID";
    sqlx::raw_sql(table).execute(&mut *db).await?;
    for row in sqlx::query("SELECT id, spans FROM segment").fetch_all(&mut *db).await? {
        let segment: i64 = row.try_get(0)?;
        for span in decode(row.try_get(1)?).unwrap_or_default() {
            sqlx::query("INSERT INTO segment_series VALUES (?, ?, ?, ?, ?, ?)")
                .bind(segment)
                .bind(span.series.0)
                .bind(span.first_row.cast_signed())
                .bind(span.rows.cast_signed())
                .bind(span.min_ts)
                .bind(span.max_ts)
                .execute(&mut *db)
                .await?;
        }
    }
    sqlx::raw_sql("ALTER TABLE segment DROP COLUMN spans; UPDATE meta SET value = 1 WHERE key = 'format'").execute(db).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span() -> impl Strategy<Value = Span> {
        (any::<u32>(), any::<u64>(), any::<u64>(), any::<i64>(), any::<i64>()).prop_map(|(series, first_row, rows, min_ts, max_ts)| Span {
            series: SeriesId(series),
            first_row,
            rows,
            min_ts,
            max_ts,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(spans in prop::collection::vec(span(), 0..20)) {
            prop_assert_eq!(decode(&encode(&spans)), Some(spans));
        }

        #[test]
        fn a_bit_that_flips_is_noticed(spans in prop::collection::vec(span(), 0..20), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = encode(&spans);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(decode(&bytes), None);
        }
    }

    #[test]
    fn is_this_on_the_disk() {
        let span = |series, first_row| Span { series: SeriesId(series), first_row, rows: 500, min_ts: 60_000, max_ts: 30_000_000 };
        let bytes = encode(&[span(7, 0), span(8, 500)]);
        assert_eq!(hex::encode(&bytes), "0e00f403c0a907808ece1c0200f40300003cb5db54");
        assert_eq!(decode(b""), None);
    }
}
