//! The one-time code that one portal shows and a person enters at the other: `47-harbor-orbit`.
//!
//! Two digits and two words of BIP 39's English list, whose 2048 words are common, are told apart by their first four letters, and are made to be
//! read out. There are 90 · 2048² codes: one guess is right with a chance of 2^-28.5 (magic-wormhole's default has 2^-16). With five guesses an
//! hour (see [`super::attempts`]) somebody who tries for a whole year is right with a chance of one in 8,600.
//!
//! Through a hub or a broker the number is told openly; then one guess is right with a chance of 2^-22, and a year of them with one in 96.

use bip39::Language;
use std::fmt;
use std::str::FromStr;

/// Longer texts are no codes.
const LONGEST: usize = 64;
/// So many letters of a word are enough.
const ENOUGH: usize = 4;
/// Bits that name one word.
const WORD_BITS: u32 = 11;
/// How alike a mistyped word and the one that is meant must be: 0 to 1 (Jaro and Winkler's measure).
const ALIKE: f64 = 0.85;

pub(super) fn list() -> &'static [&'static str; 1 << WORD_BITS] {
    Language::English.word_list()
}

/// A one-time code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// 10 to 99: no zero that people leave out.
    number: u8,
    /// Places in the list.
    words: [u16; 2],
}

/// The text is not a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    /// Not two digits and two words.
    #[error("a code is two digits and two words, such as 47-harbor-orbit")]
    Form,
    /// A word that no code has.
    #[error("`{word}` is no word of a code{}", .nearest.map_or(String::new(), |nearest| format!("; is `{nearest}` meant?")))]
    Word {
        /// As it was entered, in lower case.
        word: String,
        /// One that looks like it.
        nearest: Option<&'static str>,
    },
}

impl Code {
    /// A fresh one, from the system's random numbers.
    pub fn random() -> Self {
        let [a, b] = rand::random::<[u16; 2]>().map(|word| word % (1 << WORD_BITS));
        Self { number: rand::random_range(10..=99), words: [a, b] }
    }

    /// The two digits. They are no secret: both ends find each other by them in other people's rooms.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The same for everybody who means the same code, however it was written.
    pub(super) fn password(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.words.map(|word| list().get(usize::from(word)).copied().unwrap_or_default());
        write!(f, "{}-{a}-{b}", self.number)
    }
}

impl fmt::Debug for Code {
    /// A secret while it counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

impl FromStr for Code {
    type Err = NotACode;

    /// Upper or lower case; anything between the parts, or nothing between digits and word; four letters of a word are enough.
    fn from_str(text: &str) -> Result<Self, NotACode> {
        if text.len() > LONGEST {
            return Err(NotACode::Form);
        }
        let mut parts: Vec<String> = Vec::new();
        let mut kind = None;
        for c in text.chars() {
            let of_c = match c {
                c if c.is_ascii_digit() => Some(true),
                c if c.is_ascii_alphabetic() => Some(false),
                c if c.is_alphanumeric() => return Err(NotACode::Form),
                // Blanks, and every hyphen, dash and quotation mark that telephones put there.
                _ => None,
            };
            match parts.last_mut().filter(|_| of_c.is_some() && of_c == kind) {
                Some(part) => part.push(c.to_ascii_lowercase()),
                None if of_c.is_some() => parts.push(c.to_ascii_lowercase().to_string()),
                None => {}
            }
            kind = of_c;
        }
        let [number, first, second] = &parts[..] else { return Err(NotACode::Form) };
        let number = number.parse().ok().filter(|number| (10..=99).contains(number)).ok_or(NotACode::Form)?;
        Ok(Self { number, words: [place(first)?, place(second)?] })
    }
}

/// Where a word, or its beginning, is in the list.
pub(super) fn place(word: &str) -> Result<u16, NotACode> {
    if word.bytes().any(|b| b.is_ascii_digit()) {
        return Err(NotACode::Form);
    }
    let at = list().partition_point(|it| *it < word);
    let found = list().get(at).filter(|it| **it == word || (word.len() >= ENOUGH && it.starts_with(word)));
    // A beginning that two words share is none: the next one in the list has it too.
    let shared = list().get(at + 1).is_some_and(|next| next.starts_with(word));
    match found {
        Some(it) if *it == word || !shared => Ok(at as u16),
        _ => Err(NotACode::Word { word: word.to_owned(), nearest: nearest(word) }),
    }
}

pub(super) fn nearest(word: &str) -> Option<&'static str> {
    let alike = |it: &'static str| (strsim::jaro_winkler(it, word), it);
    let best = list().iter().map(|it| alike(it)).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(best).filter(|(alike, _)| *alike >= ALIKE).map(|(_, it)| it)
}

/// Three words for 33 bits, for people to compare.
pub(super) fn three_words(bits: [u8; 5]) -> String {
    let number = bits.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let word = |shift: u32| list()[(number >> shift & ((1 << WORD_BITS) - 1)) as usize];
    [0, WORD_BITS, 2 * WORD_BITS].map(word).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_list_is_what_is_relied_on() {
        assert!(list().is_sorted());
        assert!(
            list().iter().all(|word| (3..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()))
        );
        let mut beginnings: Vec<_> = list().iter().map(|word| &word[..word.len().min(ENOUGH)]).collect();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 2048);
    }

    #[test]
    fn what_people_write_is_understood() {
        let code: Code = "47-latin-orbit".parse().unwrap();
        assert_eq!(code.to_string(), "47-latin-orbit");
        for written in [
            "47 latin orbit",
            "47 LATIN Orbit ",
            "47latin-orbit",
            "47 – lati – orbi",
            "\u{201c}47\u{2011}latin\u{2011}orbit\u{201d}",
            "47.latin.orbit\n",
        ] {
            assert_eq!(written.parse(), Ok(code), "{written}");
        }
        // `act` is a word, and the beginning of others.
        assert_eq!("10-act-actor".parse::<Code>().unwrap().to_string(), "10-act-actor");
    }

    #[test]
    fn what_is_no_code_says_why() {
        for wrong in ["", "47", "47-latin", "latin-orbit-47", "7-latin-orbit", "47-latin-orbit-zoo", "47-lätin-orbit"]
        {
            assert_eq!(wrong.parse::<Code>(), Err(NotACode::Form), "{wrong}");
        }
        assert_eq!("47-latin-orbit".repeat(9).parse::<Code>(), Err(NotACode::Form));
        let said = |text: &str| text.parse::<Code>().unwrap_err().to_string();
        assert!(said("47-latin-orbti").contains("is `orbit` meant?"), "{}", said("47-latin-orbti"));
        // Three letters of a longer word are too few.
        assert!(said("47-latin-orb").contains("`orb` is no word"));
        assert!(!said("47-latin-xxxx").contains("meant"), "{}", said("47-latin-xxxx"));
    }

    #[test]
    fn codes_are_drawn_from_all_there_are() {
        let codes: Vec<_> = (0..20_000).map(|_| Code::random()).collect();
        assert!(
            codes.iter().all(|code| (10..=99).contains(&code.number) && code.words.iter().all(|word| *word < 2048))
        );
        let mut words: Vec<_> = codes.iter().flat_map(|code| code.words).collect();
        words.sort_unstable();
        words.dedup();
        assert!(words.len() > 2040, "{}", words.len());
        assert_eq!(format!("{:?}", codes[0]), "Code");
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in ".{0,80}") {
            let _ = text.parse::<Code>();
        }

        #[test]
        fn there_and_back(number in 10u8..=99, words: [u16; 2]) {
            let code = Code { number, words: words.map(|word| word % 2048) };
            prop_assert_eq!(code.to_string().parse(), Ok(code));
            let short: Vec<String> = code.to_string().split('-').map(|part| part.chars().take(4).collect()).collect();
            prop_assert_eq!(short.join(" ").to_uppercase().parse(), Ok(code));
        }

        #[test]
        fn three_words_differ_with_their_bits(a: [u8; 5], b: [u8; 5]) {
            let bits = |it: [u8; 5]| it.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)) & ((1 << 33) - 1);
            prop_assert_eq!(three_words(a) == three_words(b), bits(a) == bits(b));
        }
    }
}
