//! Who is who: every kind of identifier, in one registry.
//!
//! Identifiers are UUIDs of version 7 whose text form carries the kind (`fac_…`, `inv_…`), so that a facility's
//! identifier cannot be passed where an invoice's is asked, neither in Rust nor in a URL. Names that people choose
//! and that travel in MQTT topics are [`Slug`]s.

mod facility_filter;
mod id;
mod slug;
mod source;
mod text;

pub use facility_filter::{FacilityFilter, FacilityFilterError};
pub use id::{
    ApiKeyId, BaselineId, ContractId, DeviceId, FacilityId, GatewayId, Id, IdError, ImportId, InvoiceId, JobId, PayeeId, PaymentId,
    PayoutId, PostingId, SpoolId, StatementId, TenantId, TransactionId,
};
pub use slug::{Slug, SlugError};
pub use source::IdSource;
