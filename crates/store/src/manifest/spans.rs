//! Which series a segment has, in one value of its row in the manifest.
//!
//! Thousands of short series in a facility would be thousands of rows for each flush: as bytes behind one another they are
//! six for a series, and the manifest is no longer larger than what it names.

use sqlx::{Row as _, SqliteConnection};

use crate::segment::Span;
use crate::series::SeriesId;
use crate::varint::{Input, put_varint, unzigzag, zigzag};

/// Of the bytes before it.
const CHECKSUM_BYTES: usize = 4;

/// The spans of a segment, each as what differs from the one before it, and CRC-32C over them. Before each difference stands how often
/// it comes: the points of a device, and the devices behind a gateway, begin and end together.
pub(super) fn encode(spans: &[Span]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before = Before::default();
    let steps = spans.iter().map(|span| {
        let step = before.step(span);
        before = Before::of(span);
        step
    });
    let steps: Vec<Step> = steps.collect();
    for alike in steps.chunk_by(|one, next| one == next) {
        put_varint(&mut bytes, alike.len() as u64);
        for number in alike.first().into_iter().flatten() {
            put_varint(&mut bytes, *number);
        }
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Reads [`encode`]; `None` when it is not what was written.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Span>> {
    read(bytes, |input| input.varint())
}

/// As the second version kept them: each difference by itself.
pub(super) fn decode_each(bytes: &[u8]) -> Option<Vec<Span>> {
    read(bytes, |_| Some(1))
}

fn read(bytes: &[u8], times: fn(&mut Input<'_>) -> Option<u64>) -> Option<Vec<Span>> {
    let (bytes, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    if crc32c::crc32c(bytes) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (mut input, mut spans, mut before) = (Input(bytes), Vec::new(), Before::default());
    while !input.0.is_empty() {
        let times = times(&mut input)?;
        let mut step = Step::default();
        for number in &mut step {
            *number = input.varint()?;
        }
        for _ in 0..times {
            let span = before.after(&step)?;
            before = Before::of(&span);
            spans.push(span);
        }
    }
    Some(spans)
}

/// Series, first row, rows, first and last time, all but the rows as differences.
type Step = [u64; 5];

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

    fn step(&self, span: &Span) -> Step {
        [
            zigzag(i64::from(span.series.0).wrapping_sub(self.series)),
            zigzag(span.first_row.wrapping_sub(self.next_row).cast_signed()),
            span.rows,
            zigzag(span.min_ts.wrapping_sub(self.min_ts)),
            zigzag(span.max_ts.wrapping_sub(self.max_ts)),
        ]
    }

    fn after(&self, [series, first_row, rows, min_ts, max_ts]: &Step) -> Option<Span> {
        Some(Span {
            series: SeriesId(u32::try_from(self.series.wrapping_add(unzigzag(*series))).ok()?),
            first_row: self.next_row.wrapping_add(unzigzag(*first_row).cast_unsigned()),
            rows: *rows,
            min_ts: self.min_ts.wrapping_add(unzigzag(*min_ts)),
            max_ts: self.max_ts.wrapping_add(unzigzag(*max_ts)),
        })
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

/// Takes over what earlier versions kept.
pub(super) async fn migrate(db: &mut SqliteConnection, format: i64) -> sqlx::Result<()> {
    let rows = if format == 1 {
        sqlx::raw_sql("ALTER TABLE segment ADD COLUMN spans BLOB NOT NULL DEFAULT x''").execute(&mut *db).await?;
        load_rows(&mut *db).await?
    } else {
        Vec::new()
    };
    for row in sqlx::query("SELECT id, spans FROM segment").fetch_all(&mut *db).await? {
        let id: i64 = row.try_get(0)?;
        let spans = if format == 1 {
            let from = rows.partition_point(|(segment, _)| *segment < id);
            rows.iter().skip(from).take_while(|(segment, _)| *segment == id).map(|(_, span)| *span).collect()
        } else {
            // What is damaged stays as it is, and is told when the segments are read.
            let Some(spans) = decode_each(row.try_get(1)?) else { continue };
            spans
        };
        sqlx::query("UPDATE segment SET spans = ? WHERE id = ?").bind(encode(&spans)).bind(id).execute(&mut *db).await?;
    }
    if format == 1 {
        sqlx::raw_sql("DROP TABLE segment_series").execute(db).await?;
    }
    Ok(())
}

/// Undoes [`migrate`].
#[cfg(test)]
pub(super) async fn make_old(db: &mut SqliteConnection, format: i64) -> sqlx::Result<()> {
    let rows = sqlx::query("SELECT id, spans FROM segment").fetch_all(&mut *db).await?;
    if format == 2 {
        for row in rows {
            let (segment, spans): (i64, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
            let each = encode_each(&decode(&spans).unwrap_or_default());
            sqlx::query("UPDATE segment SET spans = ? WHERE id = ?").bind(each).bind(segment).execute(&mut *db).await?;
        }
        return Ok(());
    }
    let table = "CREATE TABLE segment_series (segment INTEGER NOT NULL REFERENCES segment (id), series INTEGER NOT NULL,
        first_row INTEGER NOT NULL, row_count INTEGER NOT NULL, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL,
        PRIMARY KEY (segment, series)) STRICT, WITHOUT ROWID";
    sqlx::raw_sql(table).execute(&mut *db).await?;
    for row in rows {
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
    sqlx::raw_sql("ALTER TABLE segment DROP COLUMN spans").execute(db).await.map(|_| ())
}

/// As the second version wrote them.
#[cfg(test)]
fn encode_each(spans: &[Span]) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), Before::default());
    for span in spans {
        for number in before.step(span) {
            put_varint(&mut bytes, number);
        }
        before = Before::of(span);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
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
            prop_assert_eq!(decode(&encode(&spans)), Some(spans.clone()));
            prop_assert_eq!(decode_each(&encode_each(&spans)), Some(spans));
        }

        #[test]
        fn devices_that_are_alike_are_said_once(series in 2..5_000_u32) {
            let alike: Vec<Span> = (0..series).map(|at| Span { series: SeriesId(9 + at), first_row: u64::from(at) * 60, rows: 60, min_ts: 0, max_ts: 9 }).collect();
            let bytes = encode(&alike);
            prop_assert!(bytes.len() < 20, "{} bytes", bytes.len());
            prop_assert_eq!(decode(&bytes), Some(alike));
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
        assert_eq!(hex::encode(&bytes), "010e00f403c0a907808ece1c010200f403000091abd890");
        assert_eq!(decode(b""), None);
        let second_version = hex::decode("0e00f403c0a907808ece1c0200f40300003cb5db54").unwrap();
        assert_eq!(decode_each(&second_version), decode(&bytes));
    }
}
