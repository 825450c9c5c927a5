//! The *oCamera* dialect over MQTT: a telephone with that application sees this portal's camera as a device and can watch it, as a
//! [guest](crate::guests).
//!
//! | | |
//! |---|---|
//! | [`message`] | `{source, type, data}`, and how it is read |
//! | [`machine`] | what this portal says as a device (pure) |
//! | [`device`] | the same at a real broker |
//!
//! Topics: all devices hear `/devices`; each hears `/` and its name. Anybody at the broker can say anything in anybody's name: who may
//! watch is the broker's decision, by its users and topics.

pub mod device;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod machine;
pub mod message;
