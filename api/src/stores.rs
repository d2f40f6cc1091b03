//! Where the readings of a facility are: in the one store, or in that of its collectors' partition.

use std::sync::Arc;

use ids::{FacilityFilter, Slug};
use store::Readers;

use crate::config::Config;

/// The stores of a group of collectors, and the one of everything else.
#[derive(Debug)]
pub(crate) struct Stores {
    partitions: Vec<(Vec<FacilityFilter>, Arc<Readers>)>,
    others: Arc<Readers>,
}

impl Stores {
    /// Opens nothing yet.
    pub(crate) fn new(config: &Config) -> Self {
        let readers = |path| Arc::new(Readers::new(path));
        let partitions = config.partitions.iter().map(|one| (one.facilities.clone(), readers(&one.store))).collect();
        Self { partitions, others: readers(&config.store) }
    }

    /// The store that has what is read of a facility.
    pub(crate) fn of(&self, tenant: &Slug, facility: &Slug) -> Arc<Readers> {
        let takes = |filters: &[FacilityFilter]| filters.iter().any(|filter| filter.takes(tenant, facility));
        let partition = self.partitions.iter().find(|(filters, _)| takes(filters));
        partition.map_or(&self.others, |(_, readers)| readers).clone()
    }
}
