//! The store's own segments, in a folder or an object store that speaks S3.
//!
//! Segments are Parquet already, immutable, and known by their hash: they are copied as they are, and nothing is encoded
//! twice. `TENANT/FACILITY/MONTH/HASH.parquet` is what they are called there. What is new comes first, then
//! `manifest.json`, which names what counts and up to which entry of the log; what a merge has replaced goes last. Who
//! reads by the manifest sees every reading once at any moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Reader, SegmentFile};

use crate::places::ObjectsConfig;

/// Why segments are not all there.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    #[error("could not {what} in {destination}")]
    There {
        what: &'static str,
        destination: String,
        #[source]
        err: object_store::Error,
    },
    #[error("could not {what} {}", path.display())]
    Here {
        what: &'static str,
        path: PathBuf,
        #[source]
        err: std::io::Error,
    },
    /// What is copied is what the manifest says, or nothing.
    #[error("{} is not what was written: check the store", path.display())]
    Damaged { path: PathBuf },
    #[error("this program was built without S3: build it with the feature `s3`")]
    NoS3,
}

/// What `manifest.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportManifest {
    /// Everything up to this entry of the log is in the files.
    pub lsn: u64,
    pub files: Vec<ExportedFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// What one round has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    pub files: u64,
    pub rows: u64,
    pub removed: u64,
}

/// Objects by name.
#[derive(Debug)]
pub struct Objects {
    destination: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

const MANIFEST: &str = "manifest.json";

impl Objects {
    /// * Errors: the folder cannot be made; the program has no S3.
    pub fn new(config: &ObjectsConfig) -> Result<Self, ObjectsError> {
        match config {
            ObjectsConfig::Folder(folder) => {
                std::fs::create_dir_all(folder).map_err(|err| ObjectsError::Here { what: "make", path: folder.clone(), err })?;
                let destination = folder.display().to_string();
                let opened = object_store::local::LocalFileSystem::new_with_prefix(folder);
                let local = opened.map_err(|err| ObjectsError::There { what: "open", destination: destination.clone(), err })?;
                Ok(Self { store: Arc::new(local), destination, prefix: Path::default() })
            }
            #[cfg(feature = "s3")]
            ObjectsConfig::S3 { endpoint, region, bucket, prefix, access_key_id, secret_access_key } => {
                let destination = format!("s3://{bucket}/{prefix}");
                let mut builder = object_store::aws::AmazonS3Builder::new()
                    .with_region(region)
                    .with_bucket_name(bucket)
                    .with_access_key_id(access_key_id.expose())
                    .with_secret_access_key(secret_access_key.expose());
                if let Some(endpoint) = endpoint {
                    builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
                }
                let built = builder.build().map_err(|err| ObjectsError::There { what: "begin", destination: destination.clone(), err })?;
                Ok(Self { store: Arc::new(built), destination, prefix: Path::from(prefix.as_str()) })
            }
            #[cfg(not(feature = "s3"))]
            ObjectsConfig::S3 { .. } => Err(ObjectsError::NoS3),
        }
    }

    fn there(&self, what: &'static str) -> impl FnOnce(object_store::Error) -> ObjectsError + use<> {
        let destination = self.destination.clone();
        move |err| ObjectsError::There { what, destination, err }
    }

    fn at(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Makes what is there what the store has in segments. `verify` reads back what is there already, and mends it.
    ///
    /// * Errors: not all of it is; the next round goes on from there.
    pub async fn copy(&self, reader: &Reader, verify: bool) -> Result<Copied, ObjectsError> {
        let mut copied = Copied::default();
        let found: Vec<_> = self.store.list(Some(&self.prefix)).try_collect().await.map_err(self.there("list"))?;
        let found: BTreeMap<Path, u64> = found.into_iter().map(|meta| (meta.location, meta.size)).collect();
        let mut manifest = ExportManifest { lsn: reader.flushed_lsn(), files: Vec::new() };
        for segment in reader.segments() {
            let SegmentFile { tenant, facility, month, rows, bytes, sha256, .. } = segment.clone();
            let name = format!("{tenant}/{facility}/{month}/{sha256}.parquet");
            let at = self.at(&name);
            let same_size = found.get(&at) == Some(&bytes);
            if !(same_size && (!verify || self.hash(&at).await? == sha256)) {
                self.put(&segment, &at).await?;
                copied.files += 1;
                copied.rows += rows;
            }
            manifest.files.push(ExportedFile { path: name, rows, bytes, sha256 });
        }
        manifest.files.sort_by(|one, other| one.path.cmp(&other.path));
        let text = serde_json::to_vec_pretty(&manifest).expect("a list of texts and numbers is JSON");
        self.store.put(&self.at(MANIFEST), PutPayload::from(text)).await.map_err(self.there("write the manifest"))?;
        let counts: std::collections::BTreeSet<Path> = manifest.files.iter().map(|file| self.at(&file.path)).collect();
        for stale in found.keys().filter(|path| path.as_ref().ends_with(".parquet") && !counts.contains(path)) {
            self.store.delete(stale).await.map_err(self.there("remove what was replaced"))?;
            copied.removed += 1;
        }
        Ok(copied)
    }

    /// How many of the store's segments are not there, or not as they should be.
    pub async fn differing(&self, reader: &Reader) -> Result<u64, ObjectsError> {
        let mut different = 0;
        for SegmentFile { tenant, facility, month, sha256, .. } in reader.segments() {
            let at = self.at(&format!("{tenant}/{facility}/{month}/{sha256}.parquet"));
            let same = match self.hash(&at).await {
                Ok(hash) => hash == sha256,
                Err(ObjectsError::There { err: object_store::Error::NotFound { .. }, .. }) => false,
                Err(err) => return Err(err),
            };
            different += u64::from(!same);
        }
        Ok(different)
    }

    async fn put(&self, segment: &SegmentFile, at: &Path) -> Result<(), ObjectsError> {
        let path = segment.path.clone();
        let bytes = tokio::fs::read(&path).await.map_err(|err| ObjectsError::Here { what: "read", path: path.clone(), err })?;
        if hex::encode(Sha256::digest(&bytes)) != segment.sha256 {
            return Err(ObjectsError::Damaged { path });
        }
        self.store.put(at, PutPayload::from(bytes)).await.map(|_| ()).map_err(self.there("write a segment"))
    }

    async fn hash(&self, at: &Path) -> Result<String, ObjectsError> {
        let mut hash = Sha256::new();
        let mut chunks = self.store.get(at).await.map_err(self.there("read"))?.into_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(self.there("read"))? {
            hash.update(&chunk);
        }
        Ok(hex::encode(hash.finalize()))
    }

    /// What is said to be there; nothing, when nobody has written anything.
    pub async fn manifest(&self) -> Result<ExportManifest, ObjectsError> {
        match self.store.get(&self.at(MANIFEST)).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(self.there("read"))?;
                // One that cannot be understood is written anew by the next round.
                Ok(serde_json::from_slice(&bytes).unwrap_or_default())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(ExportManifest::default()),
            Err(err) => Err(self.there("read")(err)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Slug;
    use store::{Batch, Options, Origin, Row, Store};
    use units::{Quality, Unit};

    fn commit(store: &Store, seq: u64) {
        let slug = |text| Slug::parse(text).unwrap();
        let origin = Origin { tenant: slug("acme"), facility: slug("hall"), gateway: slug("gw") };
        let row = |minute: i64| Row {
            device: slug("main"),
            point: "v1".into(),
            unit: Unit::Volt,
            exponent: -1,
            ts_ms: 1_767_225_600_000 + minute * 60_000,
            raw: Some(minute),
            quality: Quality::GOOD,
            words: None,
        };
        let first = i64::try_from(seq).unwrap() * 100;
        let rows = (first..first + 100).map(row).collect();
        store.commit(&[Batch { origin, spool_id: [1; 16], seq, rows, profiles: Vec::new(), letter: None }]).unwrap();
        store.flush().unwrap();
    }

    fn files(folder: &std::path::Path) -> Vec<PathBuf> {
        let month = folder.join("acme/hall/2026-01");
        let mut files: Vec<_> = std::fs::read_dir(month).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    #[test]
    fn segments_are_copied_once_kept_in_step_and_mended() {
        let (home, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Store::open(home.path(), Options::default()).unwrap();
        let objects = Objects::new(&ObjectsConfig::Folder(there.path().join("export"))).unwrap();
        let folder = there.path().join("export");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let copy = |verify| runtime.block_on(objects.copy(&Reader::open(home.path()).unwrap(), verify)).unwrap();
        for seq in 1..=3 {
            commit(&store, seq);
        }
        assert_eq!(copy(false), Copied { files: 3, rows: 300, removed: 0 });
        assert_eq!(copy(true), Copied::default());
        // Lost, and damaged without a change of its length.
        let first = files(&folder);
        std::fs::remove_file(&first[0]).unwrap();
        assert_eq!(copy(false).files, 1);
        let differing = || runtime.block_on(objects.differing(&Reader::open(home.path()).unwrap())).unwrap();
        assert_eq!(differing(), 0);
        let mut bytes = std::fs::read(&first[1]).unwrap();
        bytes[100] ^= 1;
        std::fs::write(&first[1], bytes).unwrap();
        assert_eq!((differing(), copy(false).files, copy(true).files, copy(true).files, differing()), (1, 0, 1, 0, 0));
        // A merge replaces all of them by one.
        store.compact().unwrap();
        assert_eq!(copy(false), Copied { files: 1, rows: 300, removed: 3 });
        let manifest = runtime.block_on(objects.manifest()).unwrap();
        assert_eq!((manifest.files.len(), manifest.files[0].rows, manifest.lsn), (1, 300, store.last_lsn()));
        assert_eq!(files(&folder), [folder.join(&manifest.files[0].path)]);
    }
}
