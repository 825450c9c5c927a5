//! The section `[operator]`.

use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The keys of the kiosk, and who may use them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Digits, 4 to 8 of them, that are asked for before a key does anything but switch privacy on; the key Enter ends the entry. Default:
    /// empty, nothing is asked.
    pub pin: Pin,
    /// Whether a key has to be held for a second, so that somebody who leans on the keyboard does nothing. Default: false.
    pub hold: bool,
}

/// A PIN. Never printed: neither by `Debug` nor by anything that shows a configuration. It is kept as it is, not hashed: four digits are
/// found from their hash in a moment, so that would only look safe; what keeps it secret is who may read the file.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Pin(String);

/// The longest PIN.
pub const MOST_DIGITS: usize = 8;
const FEWEST_DIGITS: usize = 4;

impl Pin {
    /// Whether there is one.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether this is it, in a time that does not depend on how much of it is right.
    pub fn is(&self, entered: &str) -> bool {
        let both = self.0.bytes().chain([0; MOST_DIGITS]).zip(entered.bytes().chain([0; MOST_DIGITS]));
        let differing = both.take(MOST_DIGITS).fold(0, |differing, (a, b)| std::hint::black_box(differing | (a ^ b)));
        self.is_set() && differing == 0 && self.0.len() == entered.len()
    }
}

impl From<&str> for Pin {
    fn from(digits: &str) -> Self {
        Self(digits.to_owned())
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "set" } else { "not set" })
    }
}

impl Config {
    /// Checks the PIN.
    pub fn check(&self) -> Result<(), Invalid> {
        let Pin(pin) = &self.pin;
        let plain = pin.bytes().all(|byte| byte.is_ascii_digit());
        if pin.is_empty() || (plain && (FEWEST_DIGITS..=MOST_DIGITS).contains(&pin.len())) {
            return Ok(());
        }
        // What was written is not repeated: it is nearly the secret.
        let problem = format!("must be {FEWEST_DIGITS} to {MOST_DIGITS} digits in quotes, such as \"1234\", or empty");
        Err(Invalid { key: "pin", problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_digits_and_never_shown() {
        let config = |pin: &str| Config { pin: pin.into(), hold: false };
        for (pin, good) in
            [("", true), ("1234", true), ("12345678", true), ("123", false), ("123456789", false), ("12a4", false)]
        {
            assert_eq!(config(pin).check().is_ok(), good, "{pin}");
        }
        assert!(!config("98765432109").check().unwrap_err().to_string().contains("9876"));
        assert!(!format!("{:?}", config("4711")).contains("4711"));
    }

    #[test]
    fn only_the_whole_pin_is_it() {
        let pin = Pin::from("4711");
        for (entered, right) in
            [("4711", true), ("471", false), ("47110", false), ("4712", false), ("", false), ("0711", false)]
        {
            assert_eq!(pin.is(entered), right, "{entered}");
        }
        assert!(!Pin::default().is(""));
        assert!(!Pin::from("12345678").is("12345678123"));
    }
}
