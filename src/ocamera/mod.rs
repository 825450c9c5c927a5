//! The *oCamera* dialect over MQTT: a telephone with that application sees this portal's camera as a device and can watch it, as a
//! [guest](crate::guests). This is the dialect without the network: what its messages are, and what is said to what.
//!
//! | | |
//! |---|---|
//! | [`message`] | `{source, type, data}`, and how it is read |
//! | [`machine`] | what this portal says as a device (pure) |
//!
//! Topics: all devices hear `/devices`; each hears `/` and its name. Anybody at the broker can say anything in anybody's name: who may
//! watch is the broker's decision, by its users and topics.

pub mod machine;
pub mod message;
