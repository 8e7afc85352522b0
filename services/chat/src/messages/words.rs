//! The words of a text as search sees them: without case, accents and the differences that Unicode calls compatibility.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

/// Most different words of one text that it can be found by.
pub(super) const MOST_WORDS: usize = 512;
/// Longer words are cut, in characters.
const LONGEST_WORD: usize = 64;

/// The different words of a text, the first [`MOST_WORDS`] of them.
///
/// A word is what stands between characters that are neither letters nor digits. Chinese and Japanese leave no space between words:
/// each two neighbouring characters of theirs count as one.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let plain: String = text.nfkd().filter(|c| !is_accent(*c)).flat_map(char::to_lowercase).nfc().collect();
    let mut words = BTreeSet::new();
    for chunk in plain.split(|c: char| !c.is_alphanumeric()).filter(|chunk| !chunk.is_empty()) {
        let characters: Vec<char> = chunk.chars().collect();
        for run in characters.chunk_by(|a, b| is_unspaced(*a) == is_unspaced(*b)) {
            if is_unspaced(run[0]) && run.len() > 1 {
                words.extend(run.windows(2).map(String::from_iter));
            } else {
                words.insert(run.iter().take(LONGEST_WORD).collect());
            }
            if words.len() >= MOST_WORDS {
                return words.into_iter().take(MOST_WORDS).collect();
            }
        }
    }
    words
}

/// Marks that people leave out when they search: accents of Latin, Greek and Cyrillic letters, points of Hebrew and Arabic ones. The vowel
/// signs of Indic scripts are part of the word.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Han, Hiragana and Katakana.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Vec<String> {
        words(text).into_iter().collect()
    }

    #[test]
    fn case_accents_and_punctuation_do_not_count() {
        assert_eq!(of("Café, CAFE\u{301} — cafe!"), ["cafe"]);
        assert_eq!(of("Ｍeet at ﬁve (room 7)"), ["7", "at", "five", "meet", "room"]);
        assert_eq!(of("ΣΊΣΥΦΟΣ σίσυφοσ"), ["σισυφοσ"]);
        assert_eq!(of("한국어 텍스트"), ["텍스트", "한국어"]);
        assert_eq!(
            of("\u{5de}\u{5b7}\u{5d9}\u{5b4}\u{5dd} \u{643}\u{650}\u{62a}\u{64e}\u{627}\u{628}"),
            ["\u{5de}\u{5d9}\u{5dd}", "\u{643}\u{62a}\u{627}\u{628}"]
        );
        assert_ne!(of("कि"), of("का"), "a vowel sign is no accent");
    }

    #[test]
    fn a_text_without_spaces_is_found_by_neighbouring_characters() {
        assert_eq!(of("東京都で"), ["京都", "東京", "都で"]);
        assert!(words("東京都").is_superset(&words("京都")));
        assert_eq!(of("東"), ["東"]);
        assert_eq!(of("rust入門"), ["rust", "入門"]);
    }

    #[test]
    fn a_text_without_words_has_none() {
        for text in ["", " \n", "?!…", "👍🏽"] {
            assert!(words(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn the_number_and_the_length_of_words_are_bounded() {
        let text = (0..2_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(words(&text).len(), MOST_WORDS);
        assert_eq!(of(&"x".repeat(1_000)), ["x".repeat(LONGEST_WORD)]);
    }

    proptest! {
        #[test]
        fn a_word_reads_the_same_a_second_time(text in "\\PC{0,60}") {
            for word in words(&text) {
                prop_assert!(words(&word).contains(&word) || word.chars().count() == LONGEST_WORD, "{:?}", word);
            }
        }
    }
}
