//! A code while it is typed, key by key: what is meant so far, and a mistake as soon as it is one. Plain data.

use super::code::{Code, NotACode, list, nearest, place};
use std::fmt;

/// No word of a code is longer.
const LONGEST_WORD: usize = 8;

/// What has been typed: digits, then words in lower case, with hyphens between. Never longer than a code.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Draft(String);

impl fmt::Debug for Draft {
    /// Most of a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Draft")
    }
}

impl Draft {
    /// Takes a character if it can stand here. Whatever is neither a letter nor a digit ends a word, which is completed then; the hyphen behind the
    /// digits comes by itself.
    pub fn put(&mut self, character: char) {
        let (hyphens, last) = self.place();
        match (character, hyphens) {
            ('0'..='9', 0) if last < 2 => self.0.push(character),
            ('a'..='z' | 'A'..='Z', 0) if last == 2 => self.0.extend(['-', character.to_ascii_lowercase()]),
            ('a'..='z' | 'A'..='Z', 1 | 2) if last < LONGEST_WORD => self.0.push(character.to_ascii_lowercase()),
            (other, 0) if !other.is_alphanumeric() && last == 2 => self.0.push('-'),
            (other, 1 | 2) if !other.is_alphanumeric() && last > 0 => {
                self.complete();
                if hyphens == 1 {
                    self.0.push('-');
                }
            }
            _ => {}
        }
    }

    /// Takes the last character away, and a hyphen that it came with.
    pub fn take_back(&mut self) {
        self.0.pop();
        if self.0.len() == 3 {
            self.0.pop();
        }
    }

    /// Writes the rest of the word that is meant.
    pub fn complete(&mut self) {
        self.0.push_str(self.rest());
    }

    /// What was typed.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The rest of the last word, once only one can be meant; else empty.
    pub fn rest(&self) -> &'static str {
        let Some(word) = self.last_word() else { return "" };
        let first = list().partition_point(|it| *it < word);
        let mut meant = list()[first..].iter().take_while(|it| it.starts_with(word));
        match (meant.next(), meant.next()) {
            (Some(one), None) => &one[word.len()..],
            _ => "",
        }
    }

    /// What is wrong already, whatever is typed behind it.
    pub fn mistake(&self) -> Option<NotACode> {
        if self.0.starts_with('0') {
            return Some(NotACode::Form);
        }
        let mut words: Vec<&str> = self.0.split('-').skip(1).collect();
        let last = words.pop().filter(|word| !word.is_empty());
        let finished = words.into_iter().find_map(|word| place(word).err());
        finished.or_else(|| {
            let begins = |word: &&str| !list().iter().any(|it| it.starts_with(word));
            last.filter(begins).map(|word| NotACode::Word { word: word.to_owned(), nearest: nearest(word) })
        })
    }

    /// The code, with its last word completed.
    ///
    /// # Errors
    /// What is wrong with it or missing.
    pub fn code(&self) -> Result<Code, NotACode> {
        format!("{}{}", self.0, self.rest()).parse()
    }

    /// How many hyphens there are, and how many characters behind the last one.
    fn place(&self) -> (usize, usize) {
        let last = self.0.rsplit('-').next().map_or(0, str::len);
        (self.0.matches('-').count(), last)
    }

    fn last_word(&self) -> Option<&str> {
        self.0.rsplit_once('-').map(|(_, word)| word).filter(|word| !word.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `<` stands for the key that takes a character back.
    fn typed(keys: &str) -> Draft {
        let mut draft = Draft::default();
        for key in keys.chars() {
            if key == '<' { draft.take_back() } else { draft.put(key) }
        }
        draft
    }

    #[test]
    fn what_is_typed_and_what_is_meant() {
        for (keys, text, rest) in [
            ("", "", ""),
            ("4", "4", ""),
            ("47", "47", ""),
            ("477", "47", ""),
            ("h", "", ""),
            ("47h", "47-h", ""),
            ("47 h", "47-h", ""),
            ("47--h", "47-h", ""),
            ("47HARB", "47-harb", "or"),
            ("47harb-orb", "47-harbor-orb", "it"),
            ("47 harb orbit ", "47-harbor-orbit", ""),
            ("47harborx-", "47-harborx-", ""),
            // `act` is a word, and the beginning of others.
            ("10 act act", "10-act-act", ""),
            ("47h<", "47", ""),
            ("47h<<5", "45", ""),
            ("47harb-<<<o", "47-harbo", "r"),
            ("47-harborharbor", "47-harborha", ""),
            ("47-harbor-orbit-zoo", "47-harbor-orbitzoo", ""),
            ("47h\u{e4}", "47-h", ""),
            ("<<", "", ""),
        ] {
            let draft = typed(keys);
            assert_eq!((draft.text(), draft.rest()), (text, rest), "{keys}");
        }
        assert_eq!(format!("{:?}", typed("47-harbor")), "Draft");
    }

    #[test]
    fn mistakes_are_named_as_soon_as_they_are_made() {
        let said = |keys: &str| typed(keys).mistake().map(|mistake| mistake.to_string()).unwrap_or_default();
        for good in ["", "4", "47-", "47-harb", "47-harb-", "47-harbor-o", "10-act-"] {
            assert_eq!(said(good), "", "{good}");
        }
        assert!(said("0").contains("two digits"));
        assert!(said("47-harbx").contains("is `harbor` meant?"), "{}", said("47-harbx"));
        assert!(said("47-orbti-").contains("is `orbit` meant?"), "{}", said("47-orbti-"));
        assert!(said("47-ha-orbit").contains("`ha` is no word"), "more than one begins so: {}", said("47-ha-orbit"));
        assert!(said("47-xq").contains("`xq` is no word"));
    }

    #[test]
    fn a_code_is_one_when_it_is_whole() {
        assert_eq!(typed("47 harb orb").code().unwrap().to_string(), "47-harbor-orbit");
        assert_eq!(typed("47harbor").code(), Err(NotACode::Form));
        assert!(matches!(typed("47 harbor zz").code(), Err(NotACode::Word { .. })));
    }

    proptest! {
        #[test]
        fn any_keys_make_a_short_text(keys in ".{0,60}") {
            let draft = typed(&keys);
            prop_assert!(draft.text().len() + draft.rest().len() <= 2 + 2 * (1 + LONGEST_WORD));
            let _ = (draft.mistake(), draft.code());
        }

        #[test]
        fn every_code_can_be_typed(spaces: bool) {
            let code = Code::random();
            let keys = if spaces { code.to_string().replace('-', " ") } else { code.to_string() };
            let draft = typed(&keys);
            prop_assert_eq!(draft.code(), Ok(code));
            prop_assert_eq!(draft.mistake(), None);
            let short: Vec<String> = keys.split(['-', ' ']).map(|part| part.chars().take(4).collect()).collect();
            prop_assert_eq!(typed(&short.join(" ")).code(), Ok(code));
        }
    }
}
