use rand::CryptoRng;

/// A key ring, as far as a rotation goes: keys by their ids, one of which is current.
pub trait Ring: Clone {
    /// Ids of all keys.
    fn ids(&self) -> Vec<&str>;

    /// Id of the key that whatever is new is made with.
    fn current(&self) -> &str;

    /// The ring with one more key, which is not current, and its id.
    fn with_one_more(&self, rng: &mut (impl CryptoRng + ?Sized)) -> (Self, String);

    /// The ring with another current key; none where there is no such key.
    fn switched(&self, to: &str) -> Option<Self>;

    /// The ring without all but the current key.
    #[must_use]
    fn without_others(&self) -> Self;

    /// The ring once nobody accepts what was taken out of it: what was only kept to prove that is forgotten.
    #[must_use]
    fn settled(&self) -> Self {
        self.clone()
    }
}
