//! The key `source.camera`: which cameras to use, best first.

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Names of cameras, best first; empty: any camera. In the configuration one text, or a list of them.
///
/// Each name is what `screen-portal cameras` prints: the stable name (which says where the camera is plugged in, and so tells two
/// of the same kind apart), a part of it, a device node (`/dev/video2`), or one of udev's links to it, which stay when numbers
/// change (`/dev/v4l/by-path/…` for whatever is plugged in there, `/dev/v4l/by-id/…` for the camera wherever it is).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preference(Vec<String>);

impl Preference {
    /// More names than any machine has ports for cameras are a mistake.
    pub const MOST: usize = 16;
    /// Characters of a name, at most: stable names have at most 115.
    pub const LONGEST: usize = 200;

    /// These names, best first. Empty ones stand for no wish and are left out.
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(names.into_iter().map(Into::into).filter(|name| !name.is_empty()).collect())
    }

    /// The names, best first.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether any camera will do.
    pub fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with it, if anything.
    pub(super) fn problem(&self) -> Option<String> {
        if self.0.len() > Self::MOST {
            return Some(format!("{} cameras: at most {}", self.0.len(), Self::MOST));
        }
        let bad = |name: &&String| name.chars().count() > Self::LONGEST || name.contains(char::is_control);
        let bad = self.0.iter().find(bad)?;
        Some(format!("{bad:?} is no name of a camera: at most {} characters, none of control", Self::LONGEST))
    }
}

impl From<&str> for Preference {
    fn from(name: &str) -> Self {
        Self::new([name])
    }
}

/// As people say it: `"Door Cam", then "Wide Cam"`.
impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, name) in self.0.iter().enumerate() {
            write!(f, "{}\"{name}\"", if n == 0 { "" } else { ", then " })?;
        }
        Ok(())
    }
}

impl Serialize for Preference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [] => serializer.serialize_str(""),
            [name] => serializer.serialize_str(name),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Preference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Preference;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a camera, or a list of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Preference, E> {
                Ok(Preference::from(name))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Preference, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    all.push(name);
                }
                Ok(Preference::new(all))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize, Serialize)]
    struct Section {
        camera: Preference,
    }

    #[test]
    fn a_text_or_a_list() {
        for (text, names) in [
            ("camera = \"\"", &[][..]),
            ("camera = []", &[]),
            ("camera = \"Door\"", &["Door"]),
            ("camera = [\"Door\", \"\", \"Wide\"]", &["Door", "Wide"]),
        ] {
            let section: Section = toml::from_str(text).unwrap();
            assert_eq!(section.camera.names(), names, "{text}");
            let written = toml::to_string(&section).unwrap();
            assert_eq!(toml::from_str::<Section>(&written).unwrap(), section, "{written}");
        }
        let wrong = toml::from_str::<Section>("camera = 2").unwrap_err().to_string();
        assert!(wrong.contains("the name of a camera, or a list of names"), "{wrong}");
        assert_eq!(Preference::new(["A", "B"]).to_string(), "\"A\", then \"B\"");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        assert_eq!(Preference::from("Caf\u{e9} Cam (usb-1)").problem(), None);
        assert!(Preference::from("a\nb").problem().is_some());
        assert!(Preference::from(&*"x".repeat(201)).problem().is_some());
        assert!(Preference::new(["x"; 17]).problem().is_some());
    }
}
