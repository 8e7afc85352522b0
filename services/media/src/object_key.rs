//! Names of objects in the bucket.

use std::fmt;

use rand::Rng;
use serde::{Deserialize, Serialize};

/// The key of a file's object: 256 random bits. Nothing a user sends or sees leads to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// A fresh key. `rng` has to be fit for secrets.
    pub fn new(rng: &mut (impl Rng + ?Sized)) -> Self {
        let mut random = [0; 32];
        rng.fill_bytes(&mut random);
        let name = hex::encode(random);
        // Two levels keep directories small in stores that map keys to a file system.
        Self(format!("files/{}/{}", &name[..2], &name[2..]))
    }

    /// The key as the object store takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
