//! The entry of another portal's code as a model: what keys do there, and what is said. Pure; [`super::overlays`] paints it.

use super::invitation::name;
use super::page::{Outcome, Press};
use crate::ops::{Command, EnteredCode, Typed, Waiting};
use crate::pairing::{Draft, NotACode};

/// Where somebody is with a code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    draft: Draft,
    /// It is being tried, or was, and has not been changed since.
    asked: bool,
    /// Enter was pressed before there was a code.
    early: bool,
    /// Which of several portals that wait is meant ([`Waiting::id`]); `None`: the first.
    shown_by: Option<String>,
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
    /// Takes a key. `entered`: what comes of what was entered before; `waiting`: who may show the code.
    pub fn press(&mut self, press: Press, entered: &EnteredCode, waiting: &[Waiting]) -> Outcome {
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
                    let shown_by = self.chosen(waiting).map(|(_, it)| it.id.clone());
                    return Outcome::Do(Command::Pair(Typed { code: code.to_string(), shown_by }));
                }
                Err(_) => self.early = true,
            },
            Press::Down => self.choose(waiting, 1),
            Press::Up => self.choose(waiting, waiting.len().saturating_sub(1)),
            Press::Left | Press::Escape => {}
        }
        Outcome::Stay
    }

    /// Which one is meant, where several wait: a code is tried on one only, for each that it is tried on has a guess.
    fn chosen<'a>(&self, waiting: &'a [Waiting]) -> Option<(usize, &'a Waiting)> {
        let meant = waiting.iter().position(|it| Some(&it.id) == self.shown_by.as_ref()).unwrap_or(0);
        waiting.get(meant).map(|it| (meant, it)).filter(|_| waiting.len() > 1)
    }

    fn choose(&mut self, waiting: &[Waiting], further: usize) {
        let Some((at, _)) = self.chosen(waiting) else { return };
        self.shown_by = waiting.get((at + further) % waiting.len()).map(|it| it.id.clone());
    }

    /// What was typed, and the rest of the word that is meant.
    pub fn text(&self) -> (&str, &'static str) {
        (self.draft.text(), self.draft.rest())
    }

    /// What is said below it.
    pub fn note(&self, entered: &EnteredCode, waiting: &[Waiting]) -> Note {
        match entered {
            EnteredCode::Tried(words) => return Note::Plain(words.clone()),
            EnteredCode::Paired(words) => return Note::Plain(format!("Paired. Both screens say: {words}")),
            EnteredCode::Refused(words) if self.asked => return Note::Wrong(words.clone()),
            EnteredCode::Refused(_) | EnteredCode::None => {}
        }
        match (self.draft.mistake(), self.draft.code()) {
            (Some(mistake), _) => Note::Wrong(sentence(&mistake)),
            (None, Ok(_)) => Note::Plain(match self.chosen(waiting) {
                Some((at, it)) => format!(
                    "Enter: pair with {}, {} of {} that wait here. ↑ ↓: another one",
                    name(it),
                    at + 1,
                    waiting.len()
                ),
                None => "Enter: pair with the portal that shows this code".into(),
            }),
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
            assert_eq!(entry.press(Text(key), &EnteredCode::None, &[]), Outcome::Stay);
        }
        entry
    }

    #[test]
    fn a_code_is_sent_when_it_is_whole() {
        let none = EnteredCode::None;
        let typed_code = |shown_by: Option<&str>| {
            let shown_by = shown_by.map(String::from);
            Outcome::Do(Command::Pair(Typed { code: "47-harbor-orbit".into(), shown_by }))
        };
        let sent = typed_code(None);
        for (keys, outcome) in [("47 harb orb", &sent), ("47-harbor-orbit", &sent), ("47 harb", &Outcome::Stay)] {
            let mut entry = typed(keys);
            assert_eq!(&entry.press(Enter, &none, &[]), outcome, "{keys}");
        }
        let mut entry = typed("47harb");
        assert_eq!(entry.text(), ("47-harb", "or"));
        entry.press(Right, &none, &[]);
        entry.press(Down, &none, &[]);
        assert_eq!(entry.text(), ("47-harbor", ""));
        entry.press(Backspace, &none, &[]);
        assert_eq!(entry.text(), ("47-harbo", "r"));
        assert_eq!(entry.press(Escape, &none, &[]), Outcome::Close);
    }

    #[test]
    fn of_several_that_wait_one_is_chosen() {
        let none = EnteredCode::None;
        let waiting = [("North", "a"), ("North", "b"), ("", "cdef01")]
            .map(|(site, id)| Waiting { site: site.into(), id: id.into() });
        let mut entry = typed("47 harbor orbit");
        let says = |entry: &Entry, words: &str| entry.note(&none, &waiting).words().contains(words);
        assert!(says(&entry, "pair with North, 1 of 3"));
        assert!(!entry.note(&none, &waiting[..1]).words().contains("of 1"), "there is nothing to choose");
        let shown_by = |entry: &Entry, waiting: &[Waiting]| match entry.clone().press(Enter, &none, waiting) {
            Outcome::Do(Command::Pair(typed)) => typed.shown_by,
            other => panic!("{other:?}"),
        };
        assert_eq!(shown_by(&entry, &waiting[..1]), None);
        for (press, id, words) in [
            (Down, "b", "North, 2 of 3"),
            (Down, "cdef01", "(no name, cdef), 3 of 3"),
            (Down, "a", "North, 1 of 3"),
            (Press::Up, "cdef01", "3 of 3"),
        ] {
            entry.press(press, &none, &waiting);
            assert_eq!(shown_by(&entry, &waiting).as_deref(), Some(id));
            assert!(says(&entry, words), "{words}");
        }
        // The one that was meant stays it when others come or go; when it goes itself, nobody else is meant by its number.
        assert_eq!(shown_by(&entry, &waiting[1..]).as_deref(), Some("cdef01"));
        assert_eq!(shown_by(&entry, &waiting[..2]).as_deref(), Some("a"));
    }

    #[test]
    fn while_one_is_tried_no_other_is() {
        let tried = EnteredCode::Tried("Looking".into());
        let mut entry = typed("47 harb orb");
        for press in [Enter, Text('x'), Backspace] {
            assert_eq!(entry.press(press, &tried, &[]), Outcome::Stay);
        }
        assert_eq!(entry.text(), ("47-harbor-orb", "it"));
        assert_eq!(entry.press(Escape, &tried, &[]), Outcome::Close);
    }

    #[test]
    fn what_is_said() {
        let wrong = |words: &str| Note::Wrong(words.into());
        let refused = EnteredCode::Refused("No portal here".into());
        let mut entry = typed("47 harb orb");
        assert!(matches!(entry.note(&refused, &[]), Note::Plain(_)), "of another day");
        entry.press(Enter, &refused, &[]);
        assert_eq!(entry.note(&refused, &[]), wrong("No portal here"));
        entry.press(Backspace, &refused, &[]);
        assert!(matches!(entry.note(&refused, &[]), Note::Plain(_)), "it is another one now");
        assert_eq!(entry.note(&EnteredCode::Tried("Looking".into()), &[]), Note::Plain("Looking".into()));
        assert!(entry.note(&EnteredCode::Paired("a b c".into()), &[]).words().ends_with("a b c"));
        let none = EnteredCode::None;
        assert_eq!(typed("47-harbx").note(&none, &[]), wrong("`harbx` is no word of a code; is `harbor` meant?"));
        let mut early = typed("47-harb");
        early.press(Enter, &none, &[]);
        assert!(matches!(early.note(&none, &[]), Note::Wrong(words) if words.starts_with("A code is two digits")));
        early.press(Text('o'), &none, &[]);
        assert!(matches!(early.note(&none, &[]), Note::Plain(_)));
    }
}
