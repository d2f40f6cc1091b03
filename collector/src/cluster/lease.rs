//! Who has which partition, in a table that all collectors of a group know.
//!
//! All times are those of the database: no collector's clock is asked.

use std::time::Duration;

use ids::Slug;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Row as _};
use tokio::sync::OnceCell;

use crate::config::{ClusterConfig, PartitionConfig};

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS negawatt_collector_lease (
  partition text PRIMARY KEY,
  holder text NOT NULL,
  epoch bigint NOT NULL,
  expires timestamptz NOT NULL,
  address text NOT NULL,
  wanted text,
  wanted_until timestamptz
)";

/// A partition that nobody has had yet has just become free.
const KNOWN: &str = "
INSERT INTO negawatt_collector_lease (partition, holder, epoch, expires, address) VALUES ($1, '', 0, now(), '')
ON CONFLICT (partition) DO NOTHING";

const TAKE: &str = "
UPDATE negawatt_collector_lease
SET holder = $2, epoch = epoch + 1, expires = now() + $3 * interval '1 millisecond', address = $4, wanted = NULL, wanted_until = NULL
WHERE partition = $1 AND expires <= now() - $5 * interval '1 millisecond'
  AND (wanted IS NULL OR wanted = $2 OR wanted_until <= now())
RETURNING epoch";

const WANT: &str = "
UPDATE negawatt_collector_lease SET wanted = $2, wanted_until = now() + $3 * interval '1 millisecond'
WHERE partition = $1 AND holder <> $2 AND (wanted IS NULL OR wanted = $2 OR wanted_until <= now())";

/// A lease that has passed while nobody took it is still ours.
const RENEW: &str = "
UPDATE negawatt_collector_lease SET expires = now() + $4 * interval '1 millisecond'
WHERE partition = $1 AND holder = $2 AND epoch = $3
RETURNING wanted IS NOT NULL AND wanted_until > now() AS wanted";

const RELEASE: &str = "
UPDATE negawatt_collector_lease SET holder = '', expires = now() WHERE partition = $1 AND holder = $2 AND epoch = $3";

const HOLDERS: &str = "
SELECT partition, holder, epoch, address, (extract(epoch FROM expires - now()) * 1000)::bigint AS expires_in_ms
FROM negawatt_collector_lease ORDER BY partition";

/// One for what is asked, and one beside it for the page.
const CONNECTIONS_MAX: u32 = 3;
const PATIENCE_MIN: Duration = Duration::from_millis(500);

/// Why the table could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeaseError {
    #[error("cluster.database `{address}` cannot be read")]
    Address {
        address: String,
        #[source]
        err: sqlx::Error,
    },
    #[error("the leases in {address} cannot be reached or changed")]
    Database {
        address: String,
        #[source]
        err: sqlx::Error,
    },
}

/// What became of a lease that was ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Ours,
    /// Ours, and one who prefers the partition asks for it.
    Wanted,
    Lost,
}

/// Who has a partition.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Holder {
    pub(crate) partition: String,
    /// Empty when nobody.
    pub(crate) node: String,
    pub(crate) address: String,
    /// So often it has changed hands.
    pub(crate) epoch: i64,
    /// Negative when it has passed.
    pub(crate) expires_in_ms: i64,
}

/// The table, as one process of the group sees it.
#[derive(Debug)]
pub(crate) struct Leases {
    address: String,
    pool: PgPool,
    ready: OnceCell<()>,
    /// The node, and which of its runs: one that starts again is another.
    holder: String,
    lease_ms: i64,
}

impl Leases {
    /// It is not connected to yet. `run` tells this process from an earlier one of the same node.
    pub(crate) fn new(config: &ClusterConfig, run: u64) -> Result<Self, LeaseError> {
        let address = config.database.clone();
        let options: Result<PgConnectOptions, _> = address.parse();
        let mut options = options.map_err(|err| LeaseError::Address { address: address.clone(), err })?;
        if let Some(password) = &config.password {
            options = options.password(password.expose());
        }
        // A question that takes longer than a renewal may is of no use.
        let patience = (config.lease / 3).max(PATIENCE_MIN);
        let milliseconds = patience.as_millis().to_string();
        let options =
            options.application_name("negawatt-collector").options([("statement_timeout", milliseconds)]).disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(patience).connect_lazy_with(options);
        let holder = format!("{}/{:016x}", config.node, run);
        let lease_ms = i64::try_from(config.lease.as_millis()).unwrap_or(i64::MAX);
        Ok(Self { address, pool, ready: OnceCell::new(), holder, lease_ms })
    }

    fn failed(&self) -> impl FnOnce(sqlx::Error) -> LeaseError {
        let address = self.address.clone();
        move |err| LeaseError::Database { address, err }
    }

    async fn prepared(&self) -> Result<&PgPool, LeaseError> {
        // Two that make the table at the same moment: one of them is told that it is there, and asks again.
        let made = self.ready.get_or_try_init(async || sqlx::query(TABLE).execute(&self.pool).await.map(|_| ())).await;
        made.map(|()| &self.pool).map_err(self.failed())
    }

    /// Takes a partition that nobody has had for `patience`; one who prefers it asks its holder for it. Gives the epoch.
    pub(crate) async fn take(&self, partition: &PartitionConfig, patience: Duration, preferred: bool) -> Result<Option<i64>, LeaseError> {
        let (pool, name) = (self.prepared().await?, partition.name.as_str());
        sqlx::query(KNOWN).bind(name).execute(pool).await.map_err(self.failed())?;
        let patience_ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let take = sqlx::query(TAKE).bind(name).bind(&self.holder).bind(self.lease_ms).bind(partition.listen.to_string()).bind(patience_ms);
        let taken = take.fetch_optional(pool).await.map_err(self.failed())?;
        let taken = taken.map(|row| row.try_get("epoch")).transpose().map_err(self.failed())?;
        if taken.is_none() && preferred {
            sqlx::query(WANT).bind(name).bind(&self.holder).bind(self.lease_ms).execute(pool).await.map_err(self.failed())?;
        }
        Ok(taken)
    }

    /// Keeps a partition for another lease.
    pub(crate) async fn renew(&self, partition: &Slug, epoch: i64) -> Result<Kept, LeaseError> {
        let renew = sqlx::query(RENEW).bind(partition.as_str()).bind(&self.holder).bind(epoch).bind(self.lease_ms);
        let renewed = renew.fetch_optional(&self.pool).await.map_err(self.failed())?;
        let wanted: Option<bool> = renewed.map(|row| row.try_get("wanted")).transpose().map_err(self.failed())?;
        Ok(match wanted {
            None => Kept::Lost,
            Some(true) => Kept::Wanted,
            Some(false) => Kept::Ours,
        })
    }

    /// Gives a partition to whoever comes first.
    pub(crate) async fn release(&self, partition: &Slug, epoch: i64) -> Result<(), LeaseError> {
        let release = sqlx::query(RELEASE).bind(partition.as_str()).bind(&self.holder).bind(epoch);
        release.execute(&self.pool).await.map(|_| ()).map_err(self.failed())
    }

    /// Who has what, in the order of their names.
    pub(crate) async fn holders(&self) -> Result<Vec<Holder>, LeaseError> {
        let rows = sqlx::query(HOLDERS).fetch_all(self.prepared().await?).await.map_err(self.failed())?;
        let holders = rows.iter().map(|row| {
            let holder: String = row.try_get("holder")?;
            Ok(Holder {
                partition: row.try_get("partition")?,
                node: holder.split('/').next().unwrap_or_default().to_owned(),
                address: row.try_get("address")?,
                epoch: row.try_get("epoch")?,
                expires_in_ms: row.try_get("expires_in_ms")?,
            })
        });
        holders.collect::<Result<_, sqlx::Error>>().map_err(self.failed())
    }
}
