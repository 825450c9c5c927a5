//! The entry of another portal's code as a model: what keys do there, and what is said. Pure; [`super::overlays`] paints it.

use super::page::{Outcome, Press};
use crate::ops::{Command, EnteredCode, Typed};
use crate::pairing::{Draft, NotACode};

/// Where somebody is with a code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    draft: Draft,
    /// It is being tried, or was, and has not been changed since.
    asked: bool,
    /// Enter was pressed before there was a code.
    early: bool,
}

/// What is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// What to do, or what is done.
    Plain(String),
    /// What is wrong.
    Wrong(String),
}

impl Note {
    /// In words.
    pub fn words(&self) -> &str {
        match self {
            Self::Plain(words) | Self::Wrong(words) => words,
        }
    }
}

impl Entry {
    /// Takes a key. `entered`: what comes of what was entered before.
    pub fn press(&mut self, press: Press, entered: &EnteredCode) -> Outcome {
        if press == Press::Escape {
            return Outcome::Close;
        }
        // One after the other.
        if matches!(entered, EnteredCode::Tried(_) | EnteredCode::Paired(_)) {
            return Outcome::Stay;
        }
        (self.asked, self.early) = (false, false);
        match press {
            Press::Text(character) => self.draft.put(character),
            Press::Backspace => self.draft.take_back(),
            Press::Right => self.draft.complete(),
            Press::Enter => match self.draft.code() {
                Ok(code) => {
                    self.draft.complete();
                    self.asked = true;
                    return Outcome::Do(Command::Pair(Typed(code.to_string())));
                }
                Err(_) => self.early = true,
            },
            Press::Up | Press::Down | Press::Left | Press::Escape => {}
        }
        Outcome::Stay
    }

    /// What was typed, and the rest of the word that is meant.
    pub fn text(&self) -> (&str, &'static str) {
        (self.draft.text(), self.draft.rest())
    }

    /// What is said below it.
    pub fn note(&self, entered: &EnteredCode) -> Note {
        match entered {
            EnteredCode::Tried(words) => return Note::Plain(words.clone()),
            EnteredCode::Paired(words) => return Note::Plain(format!("Paired. Both screens say: {words}")),
            EnteredCode::Refused(words) if self.asked => return Note::Wrong(words.clone()),
            EnteredCode::Refused(_) | EnteredCode::None => {}
        }
        match (self.draft.mistake(), self.draft.code()) {
            (Some(mistake), _) => Note::Wrong(sentence(&mistake)),
            (None, Ok(_)) => Note::Plain("Enter: pair with the portal that shows this code".into()),
            (None, Err(missing)) if self.early => Note::Wrong(sentence(&missing)),
            (None, Err(_)) if self.draft.rest().is_empty() => {
                Note::Plain("Two digits and two words, as the other portal shows them".into())
            }
            (None, Err(_)) => Note::Plain("Space: go on with the next word".into()),
        }
    }
}

/// With a capital letter.
fn sentence(problem: &NotACode) -> String {
    let words = problem.to_string();
    let mut rest = words.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Press::{Backspace, Down, Enter, Escape, Right, Text};

    fn typed(keys: &str) -> Entry {
        let mut entry = Entry::default();
        for key in keys.chars() {
            assert_eq!(entry.press(Text(key), &EnteredCode::None), Outcome::Stay);
        }
        entry
    }

    #[test]
    fn a_code_is_sent_when_it_is_whole() {
        let none = EnteredCode::None;
        let sent = Outcome::Do(Command::Pair(Typed("47-harbor-orbit".into())));
        for (keys, outcome) in [("47 harb orb", &sent), ("47-harbor-orbit", &sent), ("47 harb", &Outcome::Stay)] {
            let mut entry = typed(keys);
            assert_eq!(&entry.press(Enter, &none), outcome, "{keys}");
        }
        let mut entry = typed("47harb");
        assert_eq!(entry.text(), ("47-harb", "or"));
        entry.press(Right, &none);
        entry.press(Down, &none);
        assert_eq!(entry.text(), ("47-harbor", ""));
        entry.press(Backspace, &none);
        assert_eq!(entry.text(), ("47-harbo", "r"));
        assert_eq!(entry.press(Escape, &none), Outcome::Close);
    }

    #[test]
    fn while_one_is_tried_no_other_is() {
        let tried = EnteredCode::Tried("Looking".into());
        let mut entry = typed("47 harb orb");
        for press in [Enter, Text('x'), Backspace] {
            assert_eq!(entry.press(press, &tried), Outcome::Stay);
        }
        assert_eq!(entry.text(), ("47-harbor-orb", "it"));
        assert_eq!(entry.press(Escape, &tried), Outcome::Close);
    }

    #[test]
    fn what_is_said() {
        let wrong = |words: &str| Note::Wrong(words.into());
        let refused = EnteredCode::Refused("No portal here".into());
        let mut entry = typed("47 harb orb");
        assert!(matches!(entry.note(&refused), Note::Plain(_)), "of another day");
        entry.press(Enter, &refused);
        assert_eq!(entry.note(&refused), wrong("No portal here"));
        entry.press(Backspace, &refused);
        assert!(matches!(entry.note(&refused), Note::Plain(_)), "it is another one now");
        assert_eq!(entry.note(&EnteredCode::Tried("Looking".into())), Note::Plain("Looking".into()));
        assert!(entry.note(&EnteredCode::Paired("a b c".into())).words().ends_with("a b c"));
        let none = EnteredCode::None;
        assert_eq!(typed("47-harbx").note(&none), wrong("`harbx` is no word of a code; is `harbor` meant?"));
        let mut early = typed("47-harb");
        early.press(Enter, &none);
        assert!(matches!(early.note(&none), Note::Wrong(words) if words.starts_with("A code is two digits")));
        early.press(Text('o'), &none);
        assert!(matches!(early.note(&none), Note::Plain(_)));
    }
}
