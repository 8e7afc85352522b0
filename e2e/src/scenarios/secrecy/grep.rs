//! Looking for texts in bytes, in the forms that programs write texts in.

use anyhow::{Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Texts, each in several forms.
pub(super) struct Grep(Vec<(String, Vec<u8>)>);

impl Grep {
    pub(super) fn for_any(texts: &[String]) -> Self {
        Self(texts.iter().flat_map(|text| forms(text).into_iter().map(|form| (text.clone(), form))).collect())
    }

    pub(super) fn finds_nothing(&self, what: &str, bytes: &[u8]) -> Result<()> {
        match self.first_in(bytes) {
            // A secret that is told where it should not be is not told once more.
            Some(text) => bail!("{what} holds a text that begins with {:?}", text.chars().take(6).collect::<String>()),
            None => Ok(()),
        }
    }

    pub(super) fn finds_something(&self, what: &str, bytes: &[u8]) -> Result<()> {
        if self.first_in(bytes).is_none() {
            bail!("the search finds nothing in {what}, so that it proves nothing");
        }
        Ok(())
    }

    fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        self.0.iter().find(|(_, form)| contains(bytes, form)).map(|(text, _)| text.as_str())
    }
}

/// Whether bytes are among others.
pub(super) fn contains(bytes: &[u8], sought: &[u8]) -> bool {
    let Some((first, rest)) = sought.split_first() else { return true };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

/// As it is, in hexadecimal digits, and in base64 wherever it begins within what was encoded.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let base64 = (0..3).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([vec![0; before], text.as_bytes().to_vec()].concat());
        // The first and the last digits depend on what is beside the text.
        let from = [0, 2, 3][before];
        encoded.as_bytes()[from..encoded.len() - 2].to_vec()
    });
    [text.as_bytes().to_vec(), hex::encode(text).into_bytes()].into_iter().chain(base64).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_text_is_found_in_every_form_and_at_every_place() {
        let grep = Grep::for_any(&["a-secret-text".to_owned()]);
        for before in ["", "x", "xy", "xyz"] {
            let whole = format!("{before}a-secret-text and more");
            for form in [whole.clone(), STANDARD.encode(&whole), hex::encode(&whole)] {
                assert!(grep.finds_nothing("it", form.as_bytes()).is_err(), "{form}");
                grep.finds_something("it", form.as_bytes()).unwrap();
            }
        }
        grep.finds_nothing("it", b"a-secret-tex").unwrap();
    }

    #[test]
    fn what_is_found_is_not_told_whole() {
        let grep = Grep::for_any(&["a-secret-text".to_owned()]);
        let told = grep.finds_nothing("the log", b"a-secret-text").unwrap_err().to_string();
        assert_eq!(told, "the log holds a text that begins with \"a-secr\"");
    }
}
