//! The file: inputs and results in one, every byte of it under a hash.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::Path;

use ids::{InvoiceId, StatementId};
use money::Currency;
use serde::{Deserialize, Serialize};
use settlement::{InvoiceNumber, Period};

use crate::archive;
use crate::canonical::{canonical_json, sha256_hex};
use crate::derive::Derived;
use crate::error::BundleError;
use crate::inputs::Inputs;
use crate::members;

/// The edition of the format, as the manifest states it.
pub const SCHEMA: &str = "negawatt.evidence/1";

const MANIFEST: &str = "manifest.json";
const SEAL: &str = "manifest.sha256";
const COMPRESSED: &str = ".zst";
const LEVEL: i32 = 6;
/// No table of ours comes near: ten meters polled every second for a month.
const CONTENT_BYTES_MAX: u64 = 2 << 30;

/// What a bundle says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The invoice in it.
    pub invoice: ManifestInvoice,
    /// SHA-256 of each derived document, uncompressed.
    pub derived: BTreeMap<String, String>,
    /// Every other member but the seal, sorted by name.
    pub members: Vec<ManifestMember>,
}

/// The invoice of a bundle, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestInvoice {
    /// Its identifier.
    pub id: InvoiceId,
    /// Its number.
    pub number: InvoiceNumber,
    /// Its statement.
    pub statement: StatementId,
    /// The days it bills.
    pub period: Period,
    /// Its currency.
    pub currency: Currency,
    /// Its total in minor units.
    pub total_minor: i64,
}

impl ManifestInvoice {
    pub(crate) fn of(derived: &Derived) -> Self {
        let invoice = &derived.invoice;
        Self {
            id: invoice.id(),
            number: invoice.number().clone(),
            statement: invoice.statement(),
            period: invoice.period(),
            currency: invoice.currency(),
            total_minor: invoice.total().minor,
        }
    }
}

/// One member of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestMember {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// The length of what is compressed in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_size: Option<u64>,
    /// SHA-256 of what is compressed in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its length.
    pub size: u64,
}

/// Puts inputs and what was derived from them into the bytes of a bundle.
///
/// * Determinism: equal arguments give equal bytes from the same build; another edition of the compressor may give other
///   compressed bytes, which does not matter to reading: the hashes that a statement carries are of the uncompressed rows.
pub fn encode(inputs: &Inputs, derived: &Derived) -> Result<Vec<u8>, BundleError> {
    let derived_members = members::of_derived(derived).map_err(BundleError::Encode)?;
    let digests = members::digests(&derived_members);
    let mut contents = members::of_inputs(inputs).map_err(BundleError::Encode)?;
    contents.extend(derived_members);
    let mut stored: BTreeMap<String, (Vec<u8>, ManifestMember)> = BTreeMap::new();
    for (content_name, content) in contents {
        let name = stored_name(&content_name);
        let (bytes, content_size, content_sha256) = if name == content_name {
            (content, None, None)
        } else {
            let compressed =
                zstd::bulk::compress(&content, LEVEL).map_err(|err| BundleError::Compressed { member: content_name.clone(), err })?;
            (compressed, Some(length(&content)), Some(sha256_hex(&content)))
        };
        let member = ManifestMember { name: name.clone(), size: length(&bytes), sha256: sha256_hex(&bytes), content_size, content_sha256 };
        stored.insert(name, (bytes, member));
    }
    let manifest = Manifest {
        schema: SCHEMA.to_owned(),
        invoice: ManifestInvoice::of(derived),
        derived: digests,
        members: stored.values().map(|(_, member)| member.clone()).collect(),
    };
    let manifest = canonical_json(&manifest).map_err(BundleError::Encode)?;
    let seal = seal(&manifest);
    let first = std::iter::once((MANIFEST, manifest.as_slice()));
    let middle = stored.iter().map(|(name, (bytes, _))| (name.as_str(), bytes.as_slice()));
    archive::write(first.chain(middle).chain(std::iter::once((SEAL, seal.as_bytes()))))
}

/// The name under which a document is stored; each document has one.
pub(crate) fn stored_name(document: &str) -> String {
    if members::is_compressed(document) { format!("{document}{COMPRESSED}") } else { document.to_owned() }
}

/// The last member: the manifest's hash, as `sha256sum --check` reads it.
fn seal(manifest: &[u8]) -> String {
    format!("{}  {MANIFEST}\n", sha256_hex(manifest))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Writes a bundle so that it is there whole or not at all.
///
/// The bytes go to a file beside it, are made durable, and take the name at the end.
pub fn write(path: &Path, bytes: &[u8]) -> Result<Written, BundleError> {
    let failed = |err: io::Error| BundleError::Write { path: path.to_owned(), err };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| failed(io::Error::from(io::ErrorKind::InvalidFilename)))?;
    let partial = folder.join(format!(".{}.partial", name.to_string_lossy()));
    let mut file = File::create(&partial).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&partial, path).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(Written { sha256: sha256_hex(bytes), size: length(bytes) })
}

/// Checks every byte of a bundle against its hashes.
///
/// * Errors: the first thing that does not match, by member and offset; distinct errors for another kind of file, a file
///   that is cut off, and another edition of the format.
pub fn verify(bytes: &[u8]) -> Result<Manifest, BundleError> {
    index(bytes).map(|index| index.manifest)
}

type Ranges = BTreeMap<String, Range<usize>>;

/// What is where in a bundle whose hashes agree.
struct Index {
    manifest: Manifest,
    manifest_range: Range<usize>,
    ranges: Ranges,
}

fn index(bytes: &[u8]) -> Result<Index, BundleError> {
    let entries = archive::walk(bytes)?;
    let at = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
    let [first, middle @ .., last] = entries.as_slice() else { return Err(BundleError::Missing(SEAL.to_owned())) };
    if first.name != MANIFEST {
        return Err(BundleError::NotABundle);
    }
    if last.name != SEAL {
        return Err(BundleError::Missing(SEAL.to_owned()));
    }
    let (manifest_bytes, seal_bytes) = (at(&first.range), at(&last.range));
    if seal_bytes != seal(manifest_bytes).as_bytes() {
        let stated = String::from_utf8_lossy(seal_bytes);
        let expected = stated.split_whitespace().next().unwrap_or("nothing").to_owned();
        return Err(BundleError::Seal { expected, found: sha256_hex(manifest_bytes) });
    }
    let unreadable = |err| BundleError::Json { member: MANIFEST.to_owned(), err };
    let value: serde_json::Value = serde_json::from_slice(manifest_bytes).map_err(unreadable)?;
    match value.get("schema").and_then(serde_json::Value::as_str) {
        Some(SCHEMA) => {}
        found => return Err(BundleError::Version { found: found.unwrap_or("none").to_owned() }),
    }
    let manifest: Manifest = serde_json::from_value(value).map_err(unreadable)?;
    let sorted = manifest.members.windows(2).find(|pair| matches!(pair, [a, b] if a.name >= b.name));
    if let Some([first, second]) = sorted {
        return Err(BundleError::Members { expected: format!("{} before {}", first.name, second.name), found: "sorted names".to_owned() });
    }
    let mut ranges = Ranges::new();
    for place in 0..middle.len().max(manifest.members.len()) {
        let (listed, entry) = (manifest.members.get(place), middle.get(place));
        let (Some(listed), Some(entry)) = (listed, entry) else { return Err(other_members(listed, entry)) };
        if listed.name != entry.name {
            return Err(other_members(Some(listed), Some(entry)));
        }
        let content = at(&entry.range);
        let (member, expected) = (entry.name.clone(), listed.sha256.clone());
        match (member.ends_with(COMPRESSED), listed.content_size.is_some(), listed.content_sha256.is_some()) {
            (true, true, true) | (false, false, false) => {}
            (true, ..) => return Err(BundleError::NoContentHash(member)),
            (false, ..) => return Err(BundleError::NotCompressed(member)),
        }
        if length(content) != listed.size {
            return Err(BundleError::Size { member, expected: listed.size, found: length(content) });
        }
        let found = sha256_hex(content);
        if found != expected {
            return Err(BundleError::Hash { member, expected, found });
        }
        ranges.insert(member, entry.range.clone());
    }
    Ok(Index { manifest, manifest_range: first.range.clone(), ranges })
}

fn other_members(listed: Option<&ManifestMember>, entry: Option<&archive::Entry>) -> BundleError {
    let nothing = || "nothing more".to_owned();
    BundleError::Members {
        expected: listed.map_or_else(nothing, |listed| listed.name.clone()),
        found: entry.map_or_else(nothing, |entry| entry.name.clone()),
    }
}

/// A bundle whose every byte was checked.
#[derive(Debug)]
pub struct Bundle {
    bytes: Vec<u8>,
    manifest: Manifest,
    manifest_range: Range<usize>,
    ranges: Ranges,
}

impl Bundle {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let bytes = fs::read(path).map_err(|err| BundleError::Read { path: path.to_owned(), err })?;
        Self::decode(bytes)
    }

    /// Checks the bytes of a bundle; see [`verify`].
    pub fn decode(bytes: Vec<u8>) -> Result<Self, BundleError> {
        let Index { manifest, manifest_range, ranges } = index(&bytes)?;
        Ok(Self { bytes, manifest, manifest_range, ranges })
    }

    /// What it says about itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest as it is written.
    pub(crate) fn manifest_bytes(&self) -> &[u8] {
        self.bytes.get(self.manifest_range.clone()).unwrap_or_default()
    }

    /// SHA-256 of the whole file.
    #[must_use]
    pub fn sha256(&self) -> String {
        sha256_hex(&self.bytes)
    }

    /// The documents in it, by their names without `.zst`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.stored_names().map(|name| name.strip_suffix(COMPRESSED).unwrap_or(name))
    }

    /// The members as they are named in the file.
    pub(crate) fn stored_names(&self) -> impl Iterator<Item = &str> {
        self.ranges.keys().map(String::as_str)
    }

    /// A document by its name, uncompressed; nothing where there is none.
    pub fn content(&self, name: &str) -> Result<Option<Vec<u8>>, BundleError> {
        let compressed = stored_name(name);
        let Some(range) = self.ranges.get(&compressed) else { return Ok(None) };
        let stored = self.bytes.get(range.clone()).unwrap_or_default();
        if compressed == name {
            return Ok(Some(stored.to_vec()));
        }
        let listed = self.manifest.members.iter().find(|member| member.name == compressed);
        let (size, sha256) = listed.map_or((0, None), |member| (member.content_size.unwrap_or(0), member.content_sha256.clone()));
        let capacity = usize::try_from(size.min(CONTENT_BYTES_MAX)).unwrap_or(0);
        let content =
            zstd::bulk::decompress(stored, capacity).map_err(|err| BundleError::Compressed { member: compressed.clone(), err })?;
        if length(&content) != size {
            return Err(BundleError::Size { member: name.to_owned(), expected: size, found: length(&content) });
        }
        let (found, expected) = (sha256_hex(&content), sha256.unwrap_or_else(|| "nothing".to_owned()));
        if found == expected { Ok(Some(content)) } else { Err(BundleError::Hash { member: name.to_owned(), expected, found }) }
    }

    /// Everything the invoice was computed from.
    pub fn inputs(&self) -> Result<Inputs, BundleError> {
        members::read_inputs(|name| self.content(name))
    }
}
